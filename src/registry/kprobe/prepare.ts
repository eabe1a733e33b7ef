/**
 * Makes a probe ready to be armed: is this the start of an instruction, and can it run elsewhere?
 * Source: arch/x86/kernel/kprobes/core.c arch_prepare_kprobe, can_probe, arch_copy_kprobe; kernel/kprobes.c prepare_kprobe (6.12).
 */
import { err, invariant, ok, type Result } from '../../base/index.ts';
import { canProbe, decodeInsn, type Insn, KPROBE_SLOT_SIZE, prepareKprobeInsn } from '../../insn/index.ts';
import { install } from '../arena.ts';
import { KPROBE_INSNS } from '../kernels/kprobe-facts.ts';
import { hasHitBreak } from '../kgdb/breakpoints.ts';
import { KPROBE_NOT_A_BOUNDARY, KPROBE_NOT_COPYABLE, KPROBE_NOT_EMULATABLE } from '../rules/kprobe.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { hasExceptionEntry } from '../world.ts';
import { recoveredBytes } from './recovered.ts';

export interface PreparedKprobe {
  /** The byte int3 will hide. */
  readonly opcode: number;
  readonly slot: number;
}

/** can_probe: decodes from the function's start, looking through other probes; says why not. */
function notProbeable(txn: Txn, addr: number): string | undefined {
  const start = txn.world.image.symbols.containing(addr)?.offset;
  if (start === undefined) return 'it lies in no symbol';
  const readInsn = (offset: number): Insn | undefined =>
    decodeInsn(recoveredBytes(txn.world, txn.kprobeTable, txn.text, offset), offset);
  const isKgdbBreakpoint = (offset: number): boolean => hasHitBreak(txn, offset);
  const probeable = canProbe({ readInsn, start, target: addr, isKgdbBreakpoint }, txn.world.fact(KPROBE_INSNS));
  return probeable.ok ? undefined : probeable.fault.detail;
}

export function prepareKprobe(
  txn: Txn,
  addr: number,
  probe: { readonly id: string; readonly hasPostHandler: boolean },
): Result<PreparedKprobe> {
  const place = txn.place(addr);
  const reason = notProbeable(txn, addr);
  if (reason !== undefined)
    return err(refuse(KPROBE_NOT_A_BOUNDARY, { detail: `${place} cannot be probed: ${reason}.`, place }));
  const bytes = recoveredBytes(txn.world, txn.kprobeTable, txn.text, addr);
  const options = {
    rules: txn.world.fact(KPROBE_INSNS),
    preemption: txn.world.isPreemptible,
    hasPostHandler: probe.hasPostHandler,
    hasExceptionEntry: hasExceptionEntry(txn.world, addr),
  };
  const trial = prepareKprobeInsn(bytes, addr, txn.arena.next, options);
  if (trial.kind === 'refused') {
    const rule = trial.fault.errno === 'EOPNOTSUPP' ? KPROBE_NOT_EMULATABLE : KPROBE_NOT_COPYABLE;
    return err(
      refuse(rule, { errno: trial.fault.errno, detail: `${place} cannot be probed: ${trial.fault.detail}.`, place }),
    );
  }
  const request = { size: KPROBE_SLOT_SIZE + 1, what: 'kprobe_insn_slot', attachment: probe.id };
  const slot = install(txn, request, (at) => {
    const prepared = prepareKprobeInsn(bytes, addr, at, options);
    invariant(prepared.kind !== 'refused', 'an instruction that can be copied to one slot can be copied to another');
    return prepared.slot;
  });
  return ok({ opcode: bytes[0] as number, slot });
}
