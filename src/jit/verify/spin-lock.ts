/** One lock at a time, of a value of a map (process_spin_lock and who asks for active_lock, kernel/bpf/verifier.c, 6.12). */
import { SPIN_LOCK_SIZE } from '../maps/index.ts';
import type { Env } from './env.ts';
import type { Reg } from './reg.ts';
import type { VerifiedType, VerifierMap } from './request.ts';
import type { IdMap } from './same-regs.ts';
import { isConst } from './tnum.ts';

/** The lock that a path holds: which map's, of which value where there are several. */
export interface HeldLock {
  readonly map: VerifierMap;
  /** Of the pointer to the value; 0: the map has one value. */
  readonly id: number;
}

/** is_tracing_prog_type: they may run anywhere, in a program that holds the lock, too. The kernel has no such fear of fentry, lsm and tp_btf. */
const TRACING: readonly VerifiedType[] = ['kprobe', 'tracepoint', 'raw_tracepoint'];

/** check_map_prog_compatibility: not even a map that has locks. */
export function checkLocksOf(env: Env, { spinLock }: VerifierMap): void {
  if (spinLock !== undefined && TRACING.includes(env.request.type))
    env.reject('EINVAL', 'tracing progs cannot use bpf_spin_lock yet');
}

/** bpf_spin_lock and bpf_spin_unlock. */
export function checkSpinLock(env: Env, regno: number, reg: Reg, isLock: boolean): void {
  if (!isConst(reg.tnum)) {
    const why = "doesn't have constant offset. bpf_spin_lock has to be at the constant offset";
    env.reject('EINVAL', `R${regno} ${why}`);
  }
  const map = reg.map as VerifierMap;
  if (map.btf === undefined && map.spinLock === undefined)
    env.reject('EINVAL', `map '${map.name}' has to have BTF in order to use bpf_spin_lock`);
  if (map.spinLock === undefined) env.reject('EINVAL', `map '${map.name}' has no valid bpf_spin_lock`);
  const off = BigInt.asIntN(64, reg.tnum.value) + BigInt(reg.off);
  if (off !== BigInt(map.spinLock))
    env.reject('EINVAL', `off ${off} doesn't point to 'struct bpf_spin_lock' that is at ${map.spinLock}`);
  const { state } = env;
  if (isLock) {
    if (state.lock !== undefined) env.reject('EINVAL', 'Locking two bpf_spin_locks are not allowed');
    state.lock = { map, id: reg.id };
    return;
  }
  if (state.lock === undefined) env.reject('EINVAL', 'bpf_spin_unlock without taking a lock');
  if (state.lock.map !== map || state.lock.id !== reg.id) env.reject('EINVAL', 'bpf_spin_unlock of different lock');
  state.lock = undefined;
}

/** check_map_access: nobody reads or writes a lock but those who lock. */
export function checkLockUntouched(env: Env, reg: Reg, off: number, size: number): void {
  const spinLock = reg.map?.spinLock;
  if (spinLock === undefined) return;
  const [first, end] = [reg.smin + BigInt(off), reg.umax + BigInt(off + size)];
  if (first < BigInt(spinLock + SPIN_LOCK_SIZE) && BigInt(spinLock) < end)
    env.reject('EACCES', 'bpf_spin_lock cannot be accessed directly by load/store');
}

/** Whether what holds with one lock holds with another (states_equal). */
export function locksEqual(old: HeldLock | undefined, now: HeldLock | undefined, ids: IdMap): boolean {
  if (old === undefined || now === undefined) return old === now;
  return old.map === now.map && ids.matches(old.id, now.id);
}
