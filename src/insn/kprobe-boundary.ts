import { err, type Fault, ok, type Result } from '../base/index.ts';
import type { KprobeRules } from './can-boost.ts';
import type { Insn } from './insn.ts';

const DECIDER = 'can_probe, arch/x86/kernel/kprobes/core.c';

/** What a walk over a function needs to know; the caller recovers the bytes that probes and ftrace have changed. */
export interface BoundaryWalk {
  /** The instruction at an offset as it was before any probe, optimised probe or ftrace touched it; undefined when it does not decode. */
  readonly readInsn: (offset: number) => Insn | undefined;
  /** Start of the symbol that holds the target. */
  readonly start: number;
  readonly target: number;
  /** True where kgdb has a breakpoint set and hit. */
  readonly isKgdbBreakpoint?: (offset: number) => boolean;
}

const place = (walk: BoundaryWalk, offset: number): string => `+0x${(offset - walk.start).toString(16)}`;

const refuse = (rule: string, detail: string): { readonly ok: false; readonly fault: Fault } =>
  err({ errno: 'EILSEQ', rule, detail, linux: DECIDER });

/**
 * Decodes from the symbol's start up to the target. Result: the target's instruction. Faults EILSEQ: something does not decode, an active
 * kgdb breakpoint lies on the way, or no instruction begins at the target.
 */
export function walkBoundaries(walk: BoundaryWalk): Result<Insn> {
  let at = walk.start;
  let last = at;
  while (at < walk.target) {
    const insn = walk.readInsn(at);
    if (insn === undefined)
      return refuse(
        'kprobe.undecodable',
        `the bytes at ${place(walk, at)} are no instruction, so what follows has no boundaries`,
      );
    if (insn.flow === 'int3' && walk.isKgdbBreakpoint?.(at) === true)
      return refuse('kprobe.kgdb', `kgdb has a breakpoint at ${place(walk, at)}, which hides the instruction there`);
    last = at;
    at += insn.length;
  }
  if (at !== walk.target) {
    const detail = `${place(walk, walk.target)} is inside the instruction at ${place(walk, last)}; the next begins at ${place(walk, at)}`;
    return refuse('kprobe.boundary', detail);
  }
  const insn = walk.readInsn(at);
  return insn === undefined
    ? refuse('kprobe.undecodable', `the bytes at ${place(walk, at)} are no instruction`)
    : ok(insn);
}

/**
 * Why an instruction cannot carry a probe whatever its operands: INT3, INT n, INTO, INT1, UD0, UD1 and UD2 (is_exception_insn, 6.12; 6.1
 * does not ask). Undefined when it can. CONFIG_CFI_CLANG's further case is left out: it needs the CFI trap table.
 */
export function canProbeInsn(insn: Insn, rules: KprobeRules = '6.12'): Fault | undefined {
  if (rules === '6.1') return undefined;
  const isException =
    insn.opcode === 0x0f
      ? insn.opcode2 === 0xff || insn.opcode2 === 0xb9 || insn.opcode2 === 0x0b
      : insn.opcode === 0xcc || insn.opcode === 0xcd || insn.opcode === 0xce || insn.opcode === 0xf1;
  if (!isException) return undefined;
  const detail = `the instruction raises an exception itself (${insn.flow}), so a breakpoint on it cannot be told apart`;
  return { errno: 'EILSEQ', rule: 'kprobe.exception-insn', detail, linux: DECIDER };
}

/** can_probe: the walk, then the instruction. */
export function canProbe(walk: BoundaryWalk, rules: KprobeRules = '6.12'): Result<Insn> {
  const walked = walkBoundaries(walk);
  if (!walked.ok) return walked;
  const fault = canProbeInsn(walked.value, rules);
  return fault === undefined ? walked : err(fault);
}
