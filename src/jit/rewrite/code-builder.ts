import {
  BPF_PSEUDO_FUNC,
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

/** What is jumped to or called, by place in ISA. */
const LEADS = Uint8Array.from(ISA, ({ off, imm, meaning, src }) =>
  off === 'target' || imm === 'target' || imm === 'function' || (meaning.kind === 'ld-imm64' && src === BPF_PSEUDO_FUNC)
    ? 1
    : 0,
);
const LEADS_NOWHERE = -1;

/** From this many slots on the arrays copy faster than a loop does. */
const RUN_BY_SET_MIN = 32;

/** Copies slots [start, end) to `at`. */
function copyRun(code: BpfCode, start: number, end: number, out: BpfCode, at: number): void {
  if (end - start >= RUN_BY_SET_MIN) {
    out.insn.set(code.insn.subarray(start, end), at);
    out.code.set(code.code.subarray(start, end), at);
    out.dst.set(code.dst.subarray(start, end), at);
    out.src.set(code.src.subarray(start, end), at);
    out.off.set(code.off.subarray(start, end), at);
    out.imm.set(code.imm.subarray(start, end), at);
    return;
  }
  for (let from = start, to = at; from < end; from++, to++) {
    out.insn[to] = code.insn[from] as number;
    out.code[to] = code.code[from] as number;
    out.dst[to] = code.dst[from] as number;
    out.src[to] = code.src[from] as number;
    out.off[to] = code.off[from] as number;
    out.imm[to] = code.imm[from] as number;
  }
}

/** The rewritten program while it grows. */
class Builder implements Patch {
  readonly out: BpfCode;
  length = 0;
  /** Slots of the old program that are copied or replaced already, and the one that is being replaced. */
  #copied = 0;
  #current = 0;
  readonly #code: BpfCode;
  /** New slots that jump or call, and the old slots that they lead to. */
  readonly jumps: number[] = [];
  readonly targets: number[] = [];

  constructor(code: BpfCode, capacity: number) {
    this.#code = code;
    this.out = emptyBpfCode(capacity);
  }

  emit(insn: Insn, dst: number, src: number, off: number, imm: number): void {
    const { out, length } = this;
    out.insn[length] = insn.index;
    out.code[length] = insn.code;
    out.dst[length] = dst;
    out.src[length] = src;
    out.off[length] = off;
    out.imm[length] = imm;
    this.length = length + 1;
  }

  keep(): void {
    this.leads(this.#current, this.length);
    const slots = this.#code.insn[this.#current + 1] === SECOND_SLOT ? 2 : 1;
    copyRun(this.#code, this.#current, this.#current + slots, this.out, this.length);
    this.length += slots;
  }

  jump(insn: Insn, dst: number, src: number, imm: number): void {
    this.jumps.push(this.length);
    this.targets.push(jumpTarget(this.#code, this.#current) ?? LEADS_NOWHERE);
    this.emit(insn, dst, src, 0, imm);
  }

  /** Notes that the copy of an old slot leads where the slot leads. */
  leads(slot: number, at: number): void {
    const target = jumpTarget(this.#code, slot) ?? calledFunction(this.#code, slot);
    if (target === undefined) return;
    this.jumps.push(at);
    this.targets.push(target);
  }

  /** Copies what lies before a slot that is to be replaced. */
  copyTo(slot: number): void {
    copyRun(this.#code, this.#copied, slot, this.out, this.length);
    this.length += slot - this.#copied;
    this.#copied = slot;
    this.#current = slot;
  }

  /** The slots before this one are done. */
  skipTo(slot: number): void {
    this.#copied = slot;
  }

  /** Where a slot that is only copied will stand. */
  placeOf(slot: number): number {
    return this.length + slot - this.#copied;
  }
}

/**
 * Replaces instructions by sequences and moves the jumps and calls across them, as bpf_patch_insn_single does one at a time
 * (kernel/bpf/core.c, 6.12); here in one go, in time linear in the program. Answers undefined when a jump's distance no longer fits.
 */
export function rewriteBpf(code: BpfCode, needs: Uint8Array, rewriter: Rewriter): Rewritten | undefined {
  let patched = 0;
  for (let slot = 0; slot < code.length; slot++) if (needs[code.insn[slot] as number] === 1) patched += 1;
  const startOf = new Int32Array(code.length + 1);
  if (patched === 0) {
    for (let slot = 0; slot <= code.length; slot++) startOf[slot] = slot;
    return { code, startOf };
  }
  const builder = new Builder(code, code.length + patched * PATCH_SLOTS_MAX);
  for (let slot = 0; slot < code.length; slot++) {
    const at = builder.placeOf(slot);
    startOf[slot] = at;
    const insn = code.insn[slot] as number;
    if (needs[insn] === 1) {
      builder.copyTo(slot);
      if (rewriter(code, slot, builder)) {
        if (code.insn[slot + 1] === SECOND_SLOT) startOf[++slot] = builder.length;
        builder.skipTo(slot + 1);
        continue;
      }
    }
    if (LEADS[insn] === 1) builder.leads(slot, at);
  }
  builder.copyTo(code.length);
  startOf[code.length] = builder.length;
  return moveJumps(builder, startOf) ? { code: sliceBpfCode(builder.out, 0, builder.length), startOf } : undefined;
}

function moveJumps({ out, jumps, targets }: Builder, startOf: Int32Array): boolean {
  for (let index = 0; index < jumps.length; index++) {
    const slot = jumps[index] as number;
    const distance = (startOf[targets[index] as number] as number) - slot - 1;
    const insn = ISA[out.insn[slot] as number] as Insn;
    if (insn.off === 'target') {
      if (distance !== (distance << 16) >> 16) return false;
      out.off[slot] = distance;
    } else out.imm[slot] = distance;
  }
  return true;
}
