import { invariant } from '../../base/index.ts';
import { type Insn, immediate64, SECOND_SLOT } from '../bpf/index.ts';
import { checkAlu, checkBounds } from './alu.ts';
import { callFunction, returnToCaller, subprogAt } from './calls.ts';
import type { Env } from './env.ts';
import { callHelper } from './helper-call.ts';
import { checkJump, comparisonOf } from './jumps.ts';
import { kernelNameReg } from './kernel-names.ts';
import { checkMemory } from './memory.ts';
import { stateText } from './print-state.ts';
import { isVisited } from './prune.ts';
import { leaks } from './references.ts';
import { knownScalar, newReg, typeOf } from './reg.ts';
import { checkReturnCode } from './return-code.ts';
import type { State } from './state.ts';

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

/** What an instruction is compiled to depends on whether its load may fault: it may not go through both kinds of pointer (save_aux_ptr_type). */
function rememberPointer(env: Env, slot: number, regno: number, kind: string): void {
  const before = env.loadedFrom[slot];
  if (before !== undefined && before !== kind && !areAlike(before, kind))
    env.reject('EINVAL', 'same insn cannot be used with different pointers');
  // A load through a pointer that may be wild stays one that may fault.
  if (before === undefined || kind.startsWith('probe')) env.loadedFrom[slot] = kind;
  void regno;
}

const PLAIN: ReadonlySet<string> = new Set(['probe', 'trusted']);
/** Pointers that are loaded through alike: what is in memory of the program's own, or structs of the kernel. */
const areAlike = (a: string, b: string): boolean =>
  (PLAIN.has(a) && PLAIN.has(b)) || (!isPeculiar(a) && !isPeculiar(b));
const isPeculiar = (kind: string): boolean => kind === 'ctx' || PLAIN.has(kind);

function pointerKind(env: Env, regno: number): string {
  const reg = env.reg(regno);
  if (reg.type !== 'ptr_') return reg.type;
  return typeOf(reg) === 'ptr_' || typeOf(reg) === 'untrusted_ptr_' ? 'probe' : 'trusted';
}

const bytesOf = (size: number): 1 | 2 | 4 | 8 => (size / 8) as 1 | 2 | 4 | 8;

function load(env: Env, { size, isSigned }: Of<'load'>, slot: number): void {
  const dst = env.code.dst[slot] as number;
  const src = env.code.src[slot] as number;
  env.readReg(src);
  env.writeReg(dst);
  const kind = pointerKind(env, src);
  const off = env.code.off[slot] as number;
  checkMemory(env, { regno: src, off, size: bytesOf(size), isWrite: false, into: dst, isSigned });
  rememberPointer(env, slot, src, kind);
  checkBounds(env, dst);
}

function store(env: Env, { size, from }: Of<'store'>, slot: number): void {
  const dst = env.code.dst[slot] as number;
  const src = env.code.src[slot] as number;
  if (from === 'reg') env.readReg(src);
  env.readReg(dst);
  const kind = pointerKind(env, dst);
  const stored = from === 'reg' ? { regno: src } : { imm: env.code.imm[slot] as number };
  const off = env.code.off[slot] as number;
  checkMemory(env, { regno: dst, off, size: bytesOf(size), isWrite: true, stored });
  rememberPointer(env, slot, dst, kind);
}

/** check_atomic_rmw: reads and writes; what it fetches goes into a register. */
function atomic(env: Env, { op, width, isFetch }: Of<'atomic'>, slot: number): void {
  const dst = env.code.dst[slot] as number;
  const src = env.code.src[slot] as number;
  const off = env.code.off[slot] as number;
  env.readReg(src);
  env.readReg(dst);
  if (op === 'cmpxchg') env.readReg(0);
  if (env.reg(dst).type === 'ctx')
    env.reject('EACCES', `BPF_ATOMIC stores into R${dst} ${typeOf(env.reg(dst))} is not allowed`);
  const into = isFetch ? (op === 'cmpxchg' ? 0 : src) : undefined;
  if (into !== undefined) env.writeUnknown(into);
  const access = { regno: dst, off, size: bytesOf(width), isStrict: true } as const;
  const kind = pointerKind(env, dst);
  checkMemory(env, { ...access, isWrite: false });
  if (into !== undefined) checkMemory(env, { ...access, isWrite: false, into });
  rememberPointer(env, slot, dst, kind);
  checkMemory(env, { ...access, isWrite: true });
}

/** check_ld_imm: a number, a name of the kernel, a map, its value, or a function of the program; what they name is there (`checkImmediates`). */
function loadImmediate(env: Env, { is }: Of<'ld-imm64'>, slot: number): void {
  const dst = env.code.dst[slot] as number;
  env.writeReg(dst);
  if (is === 'number') {
    env.setReg(dst, knownScalar(immediate64(env.code, slot)));
    return;
  }
  if (is === 'btf-id') {
    env.setReg(dst, kernelNameReg(env, env.code.imm[slot] as number));
    return;
  }
  if (is === 'function') {
    const reg = newReg('func');
    reg.subprog = subprogAt(env, slot + 1 + (env.code.imm[slot] as number));
    if (reg.subprog === 0) env.reject('EINVAL', 'callback function cannot be the main program');
    env.setReg(dst, reg);
    return;
  }
  const source = env.code.src[slot] as number;
  const map = env.request.map(source, env.code.imm[slot] as number);
  invariant(map !== undefined, 'checkImmediates has found the map');
  const isValue = is === 'map-value' || is === 'map-index-value';
  const reg = newReg(isValue ? 'map_value' : 'map_ptr');
  reg.map = map;
  if (isValue) reg.off = env.code.imm[slot + 1] as number;
  env.setReg(dst, reg);
}

/** BPF_FUNC_spin_unlock. */
const FUNC_SPIN_UNLOCK = 94;

function call(env: Env, { callee }: Of<'call'>, slot: number): number {
  let next = slot + 1;
  const isUnlock = env.code.imm[slot] === FUNC_SPIN_UNLOCK;
  if (env.state.lock !== undefined && ((callee === 'helper' && !isUnlock) || callee === 'kfunc'))
    env.reject('EINVAL', 'function calls are not allowed while holding a lock');
  if (callee === 'function') next = callFunction(env, slot);
  else if (callee === 'helper') callHelper(env, slot);
  else if (callee === 'kfunc') {
    const id = env.code.imm[slot] as number;
    env.reject('EACCES', `calling kernel function ${env.btf?.name(id) || `#${id}`} is not allowed`);
  } else env.reject('EINVAL', 'BPF_CALL uses reserved fields');
  env.touchReg(0);
  return next;
}

/** The end of a function. Undefined: the path ends. */
function exit(env: Env): number | undefined {
  if (env.state.lock !== undefined && env.state.frames.length === 1) env.reject('EINVAL', 'bpf_spin_unlock is missing');
  if (leaks(env)) return env.rejectQuietly('EINVAL', 'Unreleased reference');
  if (env.state.frames.length > 1) return returnToCaller(env);
  checkReturnCode(env);
  return undefined;
}

/** One instruction: answers the next, or undefined at the end of a path. */
function step(env: Env, slot: number): number | undefined {
  const insn = env.insnAt(slot);
  const { meaning } = insn;
  switch (meaning.kind) {
    case 'load':
      load(env, meaning, slot);
      return slot + 1;
    case 'store':
      store(env, meaning, slot);
      return slot + 1;
    case 'atomic':
      atomic(env, meaning, slot);
      return slot + 1;
    case 'ld-imm64':
      loadImmediate(env, meaning, slot);
      return slot + 2;
    case 'jump': {
      env.jumps += 1;
      const comparison = comparisonOf(env, insn, slot);
      return comparison === undefined ? slot + 1 : checkJump(env, comparison, slot);
    }
    case 'ja':
      env.jumps += 1;
      return slot + 1 + (meaning.from === 'off' ? (env.code.off[slot] as number) : (env.code.imm[slot] as number));
    case 'call':
      env.jumps += 1;
      return call(env, meaning, slot);
    case 'exit':
      env.jumps += 1;
      return exit(env);
    default:
      checkAlu(env, insn, slot);
      return slot + 1;
  }
}

/** A path has ended: so may have all that led to it (update_branch_counts). */
function endPath(env: Env): void {
  for (let state: State | undefined = env.state; state !== undefined; state = state.parent) {
    state.branches -= 1;
    if (state.branches > 0) return;
  }
}

function nextPath(env: Env): boolean {
  env.touchEverything();
  endPath(env);
  const pending = env.pending.pop();
  if (pending === undefined) return false;
  env.state = pending.state;
  if (env.log.level < 2) env.log.reset(pending.logPosition);
  env.insn = pending.insn;
  env.previous = pending.previous;
  return true;
}

function logInstruction(env: Env, slot: number): void {
  if (env.log.level === 0) return;
  if (env.hasTouched) env.log.state(slot, stateText(env, env.frame, false));
  env.log.instruction(slot, env.request.describe?.(slot) ?? '');
}

/** do_check (kernel/bpf/verifier.c, 6.12): follows every path until it ends or meets one that allowed as much. */
export function checkPaths(env: Env): void {
  let showsState = false;
  for (;;) {
    const slot = env.insn;
    env.processed += 1;
    if (env.processed > env.limit) env.reject('E2BIG', `BPF program is too large. Processed ${env.processed} insn`);
    env.state.lastInsn = env.previous;
    if (env.prunePoints[slot] === 1 && isVisited(env)) {
      if (env.log.level > 0) env.log.say(showsState ? `\nfrom ${env.previous} to ${slot}: safe\n` : `${slot}: safe\n`);
      if (!nextPath(env)) return;
      showsState = true;
      continue;
    }
    env.record(slot);
    if (env.log.level === 2 && showsState) {
      env.log.say(`\nfrom ${env.previous} to ${slot}:${stateText(env, env.frame, true)}`);
      env.clearTouched();
      showsState = false;
    }
    logInstruction(env, slot);
    env.seen[slot] = 1;
    if (env.code.insn[slot + 1] === SECOND_SLOT) env.seen[slot + 1] = 1;
    env.previous = slot;
    const depth = env.state.frames.length;
    const next = step(env, slot);
    if (next === undefined) {
      if (!nextPath(env)) return;
      showsState = true;
      continue;
    }
    if (env.state.frames.length < depth) showsState = true;
    env.insn = next;
  }
}
