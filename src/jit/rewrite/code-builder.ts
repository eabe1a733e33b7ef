import {
  type BpfCode,
  calledFunction,
  emptyBpfCode,
  type Insn,
  ISA,
  jumpTarget,
  SECOND_SLOT,
  sliceBpfCode,
} from '../bpf/index.ts';

/** Collects the instructions that replace one. Offsets of jumps among them count from the jump, as in bytecode. */
export interface Patch {
  emit(insn: Insn, dst: number, src: number, off: number, imm: number): void;
  /** The instruction itself, unchanged; its jump is kept. */
  keep(): void;
  /** A jump to where the replaced instruction jumped to. */
  jump(insn: Insn, dst: number, src: number, imm: number): void;
}

/** Says what replaces the instruction at `slot`; false leaves it as it is. A 64-bit immediate is asked for once, at its first slot. */
export type Rewriter = (code: BpfCode, slot: number, patch: Patch) => boolean;

/** The rewritten program and, for every old slot, where it now begins (one more element for the end). */
export interface Rewritten {
  readonly code: BpfCode;
  readonly startOf: Int32Array;
}

/** More than any rewrite makes of one slot. */
const PATCH_SLOTS_MAX = 10;

/**
 * Replaces instructions by sequences and moves the jumps and calls across them, as bpf_patch_insn_single does one at a time
 * (kernel/bpf/core.c, 6.12); here in one go, in time linear in the program. Answers undefined when a jump's distance no longer fits.
 */
export function rewriteBpf(code: BpfCode, needs: Uint8Array, rewriter: Rewriter): Rewritten | undefined {
  let patched = 0;
  for (let slot = 0; slot < code.length; slot++) if (needs[code.insn[slot] as number] === 1) patched += 1;
  const out = emptyBpfCode(code.length + patched * PATCH_SLOTS_MAX);
  const startOf = new Int32Array(code.length + 1);
  /** For jumps and calls: the old slot that they lead to, plus 1. */
  const leadsTo = new Int32Array(out.length);
  let length = 0;

  const emit = (insn: Insn, dst: number, src: number, off: number, imm: number): void => {
    out.insn[length] = insn.index;
    out.code[length] = insn.code;
    out.dst[length] = dst;
    out.src[length] = src;
    out.off[length] = off;
    out.imm[length] = imm;
    length += 1;
  };
  const copy = (slot: number): void => {
    out.insn[length] = code.insn[slot] as number;
    out.code[length] = code.code[slot] as number;
    out.dst[length] = code.dst[slot] as number;
    out.src[length] = code.src[slot] as number;
    out.off[length] = code.off[slot] as number;
    out.imm[length] = code.imm[slot] as number;
    if (code.insn[slot] !== SECOND_SLOT)
      leadsTo[length] = (jumpTarget(code, slot) ?? calledFunction(code, slot) ?? -1) + 1;
    length += 1;
  };

  let current = 0;
  const patch: Patch = {
    emit,
    keep: () => copy(current),
    jump(insn, dst, src, imm) {
      leadsTo[length] = (jumpTarget(code, current) ?? -1) + 1;
      emit(insn, dst, src, 0, imm);
    },
  };
  for (let slot = 0; slot < code.length; slot++) {
    startOf[slot] = length;
    current = slot;
    const insn = code.insn[slot] as number;
    if (insn === SECOND_SLOT || needs[insn] === 0 || !rewriter(code, slot, patch)) copy(slot);
    else if (code.insn[slot + 1] === SECOND_SLOT) startOf[++slot] = length;
  }
  startOf[code.length] = length;
  return moveJumps(out, length, leadsTo, startOf) ? { code: sliceBpfCode(out, 0, length), startOf } : undefined;
}

function moveJumps(out: BpfCode, length: number, leadsTo: Int32Array, startOf: Int32Array): boolean {
  for (let slot = 0; slot < length; slot++) {
    const old = (leadsTo[slot] as number) - 1;
    if (old < 0) continue;
    const distance = (startOf[old] as number) - slot - 1;
    const insn = ISA[out.insn[slot] as number] as Insn;
    if (insn.off === 'target') {
      if (distance !== (distance << 16) >> 16) return false;
      out.off[slot] = distance;
    } else out.imm[slot] = distance;
  }
  return true;
}
