import {
  BPF_PSEUDO_FUNC,
  type BpfCode,
  calledFunction,
  emptyBpfCode,
  type Insn,
  insnTable,
  jumpTarget,
  SECOND_SLOT,
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
const PATCH_SLOTS_MAX = 12;

/** What is jumped to or called, by place in ISA. */
const LEADS = insnTable(({ off, imm, meaning, src }) =>
  Number(
    off === 'target' ||
      imm === 'target' ||
      imm === 'function' ||
      (meaning.kind === 'ld-imm64' && src === BPF_PSEUDO_FUNC),
  ),
);
const HAS_OFFSET = insnTable(({ off }) => Number(off === 'target'));
const LEADS_NOWHERE = -1;

/** Copies slots [start, end) to `at`. */
function copySlots(from: BpfCode, start: number, end: number, to: BpfCode, at: number): void {
  const { insn, code, dst, src, off, imm } = from;
  const { insn: toInsn, code: toCode, dst: toDst, src: toSrc, off: toOff, imm: toImm } = to;
  for (let slot = start, out = at; slot < end; slot++, out++) {
    toInsn[out] = insn[slot] as number;
    toCode[out] = code[slot] as number;
    toDst[out] = dst[slot] as number;
    toSrc[out] = src[slot] as number;
    toOff[out] = off[slot] as number;
    toImm[out] = imm[slot] as number;
  }
}

/** What replaces instructions, one behind the other. */
class Patches implements Patch {
  code: BpfCode;
  length = 0;
  /** The old slot that is being replaced. */
  slot = 0;
  /** Replaced slots, and where in `code` what replaces each ends. */
  readonly slots: number[] = [];
  readonly ends: number[] = [];
  /** Places in `code` that lead out of their patch, and the old slots that they lead to. */
  readonly leaving: number[] = [];
  readonly targets: number[] = [];
  readonly #source: BpfCode;

  constructor(source: BpfCode, capacity: number) {
    this.#source = source;
    this.code = emptyBpfCode(capacity);
  }

  emit(insn: Insn, dst: number, src: number, off: number, imm: number): void {
    const { code, length } = this;
    code.insn[length] = insn.index;
    code.code[length] = insn.code;
    code.dst[length] = dst;
    code.src[length] = src;
    code.off[length] = off;
    code.imm[length] = imm;
    this.length = length + 1;
  }

  keep(): void {
    const target = jumpTarget(this.#source, this.slot) ?? calledFunction(this.#source, this.slot);
    if (target !== undefined) this.#leads(target);
    const slots = this.#source.insn[this.slot + 1] === SECOND_SLOT ? 2 : 1;
    copySlots(this.#source, this.slot, this.slot + slots, this.code, this.length);
    this.length += slots;
  }

  jump(insn: Insn, dst: number, src: number, imm: number): void {
    this.#leads(jumpTarget(this.#source, this.slot) ?? LEADS_NOWHERE);
    this.emit(insn, dst, src, 0, imm);
  }

  #leads(target: number): void {
    this.leaving.push(this.length);
    this.targets.push(target);
  }

  /** Makes room for one more patch. */
  begin(slot: number): void {
    this.slot = slot;
    if (this.length + PATCH_SLOTS_MAX <= this.code.length) return;
    const grown = emptyBpfCode(this.code.length * 2 + PATCH_SLOTS_MAX);
    copySlots(this.code, 0, this.length, grown, 0);
    this.code = grown;
  }

  end(): void {
    this.slots.push(this.slot);
    this.ends.push(this.length);
  }
}

/**
 * Replaces instructions by sequences and moves the jumps and calls across them, as bpf_patch_insn_single does one at a time
 * (kernel/bpf/core.c, 6.12); here in time linear in the program. Answers undefined when a jump's distance no longer fits.
 *
 * 1. Ask what replaces each instruction; where each slot comes to stand follows.
 * 2. Copy what stays and the patches, with every jump's new distance.
 */
export function rewriteBpf(code: BpfCode, needs: Uint8Array, rewriter: Rewriter): Rewritten | undefined {
  const { length, insn } = code;
  const startOf = new Int32Array(length + 1);
  let patches: Patches | undefined;
  let at = 0;
  for (let slot = 0; slot < length; slot++) {
    startOf[slot] = at;
    at += 1;
    if (needs[insn[slot] as number] === 0) continue;
    patches ??= new Patches(code, PATCH_SLOTS_MAX + (length >> 1));
    const before = patches.length;
    patches.begin(slot);
    if (!rewriter(code, slot, patches)) continue;
    patches.end();
    at += patches.length - before - 1;
    if (insn[slot + 1] === SECOND_SLOT) startOf[++slot] = at;
  }
  startOf[length] = at;
  if (patches === undefined || patches.slots.length === 0) return { code, startOf };
  const out = emptyBpfCode(at);
  return splice(code, patches, startOf, out) ? { code: out, startOf } : undefined;
}

/** Step 2; false when a distance does not fit. */
function splice(code: BpfCode, patches: Patches, startOf: Int32Array, out: BpfCode): boolean {
  const { slots, ends, leaving, targets } = patches;
  let next = 0;
  let from = 0;
  let lead = 0;
  for (let index = 0; index <= slots.length; index++) {
    const slot = index < slots.length ? (slots[index] as number) : code.length;
    if (!copyRun(code, next, slot, out, startOf)) return false;
    if (index === slots.length) break;
    const end = ends[index] as number;
    const at = startOf[slot] as number;
    copySlots(patches.code, from, end, out, at);
    for (; lead < leaving.length && (leaving[lead] as number) < end; lead++)
      if (!setTarget(out, at + (leaving[lead] as number) - from, startOf[targets[lead] as number] as number))
        return false;
    from = end;
    next = slot + (code.insn[slot + 1] === SECOND_SLOT ? 2 : 1);
  }
  return true;
}

/** Copies slots [start, end), none of them replaced; false when a distance does not fit. */
function copyRun(code: BpfCode, start: number, end: number, out: BpfCode, startOf: Int32Array): boolean {
  const at = startOf[start] as number;
  copySlots(code, start, end, out, at);
  const { insn } = code;
  for (let slot = start; slot < end; slot++) {
    if (LEADS[insn[slot] as number] === 0) continue;
    const target = (jumpTarget(code, slot) ?? calledFunction(code, slot)) as number;
    if (!setTarget(out, at + slot - start, startOf[target] as number)) return false;
  }
  return true;
}

/** Lets the instruction at `slot` lead to `target`, both counted in the new program. */
function setTarget(out: BpfCode, slot: number, target: number): boolean {
  const distance = target - slot - 1;
  if (HAS_OFFSET[out.insn[slot] as number] === 0) out.imm[slot] = distance;
  else if (distance === (distance << 16) >> 16) out.off[slot] = distance;
  else return false;
  return true;
}
