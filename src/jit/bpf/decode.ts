import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { type BpfCode, emptyBpfCode, SECOND_SLOT } from './code.ts';
import type { Insn } from './insn.ts';
import { BY_CODE, ISA } from './isa.ts';
import { BPF_INSN_SIZE, BPF_LD_IMM64, BPF_REG_FP, MAX_BPF_REG } from './opcodes.ts';

/** BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h, 6.12): what a privileged program may have. */
export const BPF_INSNS_MAX = 1_000_000;

const LOAD = 'bpf_prog_load, kernel/bpf/syscall.c (6.12)';
const VERIFIER = 'do_check, kernel/bpf/verifier.c (6.12)';
const LD_IMM = 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)';

export interface DecodeOptions {
  /** True for code that a verifier has rewritten: R11, PROBE_MEM loads, the speculation barrier and tail calls are then instructions. */
  readonly allowsInternal?: boolean;
  /** True when a verifier looks at the program: it refuses a write to R10 where some path leads to it, and nowhere else. */
  readonly allowsFrameWrite?: boolean;
}

/** What the decoder reads an instruction's fields from. */
interface Slot {
  readonly index: number;
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

const FRAME_POINTER = 'bpf.insn.frame-pointer';

const fixed = (use: unknown): number | undefined => (typeof use === 'number' ? use : undefined);
const matches = (use: unknown, value: number): boolean => typeof use !== 'number' || use === value;

/** How the one opcode that carries a mark of the verifier's is told: `bpf_insn_is_zext`, a 32-bit move to itself with 1 in the immediate. */
const isZext = (slot: Slot): boolean => slot.code === 0xbc && slot.dst === slot.src && slot.off === 0 && slot.imm === 1;

function find(slot: Slot, allowsInternal: boolean): Insn | undefined {
  const candidates = BY_CODE[slot.code] as readonly Insn[];
  for (const insn of candidates) {
    if (insn.since === undefined && !allowsInternal) continue;
    if (!matches(insn.src, slot.src) || !matches(insn.off, slot.off)) continue;
    if (matches(insn.imm, slot.imm) || (allowsInternal && isZext(slot))) {
      if (insn.dst === 'unused' && slot.dst !== 0) continue;
      if (insn.src === 'unused' && slot.src !== 0) continue;
      return insn;
    }
  }
  return undefined;
}

const fault = (
  index: number,
  rule: string,
  detail: string,
  linux: string,
  errno: Fault['errno'] = 'EINVAL',
): Fault => ({
  errno,
  rule,
  detail: `instruction ${index}: ${detail}`,
  linux,
  index,
});

const list = (values: readonly number[]): string => [...new Set(values)].join(' or ');

/** Names the field that no instruction of this opcode has with this value. */
function notFound(slot: Slot, allowsInternal: boolean): Fault {
  const hex = `0x${slot.code.toString(16).padStart(2, '0')}`;
  const candidates = (BY_CODE[slot.code] as readonly Insn[]).filter(
    (insn) => allowsInternal || insn.since !== undefined,
  );
  const [first] = candidates;
  if (first === undefined) return fault(slot.index, 'bpf.insn.unknown', `unknown opcode ${hex}`, VERIFIER);
  const reserved = (field: string, value: number, allowed: readonly number[]): Fault =>
    fault(
      slot.index,
      'bpf.insn.reserved',
      `${first.name} (${hex}) has ${field} ${value}, which must be ${list(allowed)}`,
      VERIFIER,
    );

  if (first.dst === 'unused' && slot.dst !== 0) return reserved('destination register', slot.dst, [0]);
  if (first.src === 'unused' && slot.src !== 0) return reserved('source register', slot.src, [0]);
  const sources = candidates.filter((insn) => matches(insn.src, slot.src));
  if (sources.length === 0)
    return reserved(
      'source',
      slot.src,
      candidates.flatMap((insn) => fixed(insn.src) ?? []),
    );
  const offsets = sources.filter((insn) => matches(insn.off, slot.off));
  if (offsets.length === 0)
    return reserved(
      'offset',
      slot.off,
      sources.flatMap((insn) => fixed(insn.off) ?? []),
    );
  return reserved(
    'immediate',
    slot.imm,
    offsets.flatMap((insn) => fixed(insn.imm) ?? []),
  );
}

function registerProblem(insn: Insn, slot: Slot, allowsInternal: boolean): Fault | undefined {
  const end = allowsInternal ? MAX_BPF_REG + 1 : MAX_BPF_REG;
  const readsSource = typeof insn.src !== 'number' && insn.src !== 'unused';
  for (const register of [slot.dst, ...(readsSource ? [slot.src] : [])]) {
    if (register >= end) return fault(slot.index, 'bpf.insn.register', `R${register} is invalid`, VERIFIER);
  }
  const writesFrame =
    (slot.dst === BPF_REG_FP && (insn.dst === 'write' || insn.dst === 'update')) ||
    (slot.src === BPF_REG_FP && insn.src === 'update');
  if (!writesFrame) return undefined;
  return fault(slot.index, FRAME_POINTER, 'the frame pointer R10 is read only', VERIFIER, 'EACCES');
}

function secondSlotProblem(code: BpfCode, first: number): Fault | undefined {
  const second = first + 1;
  if (second >= code.length)
    return fault(first, 'bpf.insn.wide-immediate', 'the second half of a 64-bit immediate is missing', LD_IMM);
  const fields = ['code', 'dst', 'src', 'off'] as const;
  const set = fields.find((field) => code[field][second] !== 0);
  if (set === undefined) return undefined;
  return fault(
    second,
    'bpf.insn.wide-immediate',
    `the second half of a 64-bit immediate has its ${set} set, which is reserved`,
    LD_IMM,
  );
}

/**
 * Reads instructions, 8 bytes a slot, little-endian. Looks at each instruction alone; `layOutBpf` looks at where they jump.
 *
 * Faults, each with the slot in `index`: EINVAL unknown opcode, reserved field that is set, register that does not exist, half a 64-bit
 * immediate, bytes that are no whole number of instructions; EACCES a write to R10; E2BIG none or more than a million slots.
 */
export function decodeBpf(bytes: Uint8Array, options: DecodeOptions = {}): Result<BpfCode> {
  const { allowsInternal = false, allowsFrameWrite = false } = options;
  if (bytes.length % BPF_INSN_SIZE !== 0) {
    const detail = `${bytes.length} bytes are no whole number of ${BPF_INSN_SIZE}-byte instructions`;
    return err({ errno: 'EINVAL', rule: 'bpf.program.size', detail, linux: LOAD });
  }
  const length = bytes.length / BPF_INSN_SIZE;
  if (length === 0 || length > BPF_INSNS_MAX) {
    const detail = `a program has 1 to ${BPF_INSNS_MAX} instructions, not ${length}`;
    return err({ errno: 'E2BIG', rule: 'bpf.program.size', detail, linux: LOAD });
  }
  const code = readColumns(bytes, length);
  for (let slot = 0; slot < length; slot++) {
    const simple = SIMPLE[code.code[slot] as number] as number;
    if (simple !== NOT_SIMPLE && isPlain(code, slot, simple)) {
      code.insn[slot] = simple;
      continue;
    }
    const problem = decodeSlot(code, slot, allowsInternal);
    const isTolerated = allowsFrameWrite && problem?.rule === FRAME_POINTER;
    if (problem !== undefined && !isTolerated) return err(problem);
    if (code.code[slot] === BPF_LD_IMM64) code.insn[++slot] = SECOND_SLOT;
  }
  return ok(code);
}

function decodeSlot(code: BpfCode, index: number, allowsInternal: boolean): Fault | undefined {
  const slot: Slot = {
    index,
    code: code.code[index] as number,
    dst: code.dst[index] as number,
    src: code.src[index] as number,
    off: code.off[index] as number,
    imm: code.imm[index] as number,
  };
  const insn = find(slot, allowsInternal);
  if (insn === undefined) return notFound(slot, allowsInternal);
  code.insn[index] = insn.index;
  const problem = registerProblem(insn, slot, allowsInternal);
  return problem ?? (slot.code === BPF_LD_IMM64 ? secondSlotProblem(code, index) : undefined);
}

function readColumns(bytes: Uint8Array, length: number): BpfCode {
  const code = emptyBpfCode(length);
  for (let slot = 0, at = 0; slot < length; slot++, at += BPF_INSN_SIZE) {
    const registers = bytes[at + 1] as number;
    code.code[slot] = bytes[at] as number;
    code.dst[slot] = registers & 15;
    code.src[slot] = registers >> 4;
    code.off[slot] = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
    code.imm[slot] =
      (bytes[at + 4] as number) |
      ((bytes[at + 5] as number) << 8) |
      ((bytes[at + 6] as number) << 16) |
      ((bytes[at + 7] as number) << 24);
  }
  return code;
}

const NOT_SIMPLE = 255;
const [DST, SRC, OFF, IMM] = [1, 2, 4, 8];

/** The first instruction of each opcode that programs may use, if it takes one slot; else {@link NOT_SIMPLE}. */
const SIMPLE = Uint8Array.from({ length: 256 }, (_, code) => {
  const [insn] = BY_CODE[code] as readonly Insn[];
  return insn === undefined || insn.since === undefined || code === BPF_LD_IMM64 ? NOT_SIMPLE : insn.index;
});

/** Which fields of each instruction must be 0 for the quick look; what fails it is looked at closely. */
const MUST_BE_ZERO = Uint8Array.from(
  ISA,
  ({ dst, src, off, imm }) =>
    (dst === 'unused' ? DST : 0) |
    (src === 'unused' || src === 0 ? SRC : 0) |
    (off === 0 ? OFF : 0) |
    (imm === 0 ? IMM : 0),
);
const HAS_FIXED = Uint8Array.from(ISA, ({ src, off, imm }) =>
  [src, off, imm].some((use) => (fixed(use) ?? 0) !== 0) ? 1 : 0,
);
/** The last register that each field may name: R10 only where it is read. */
const LAST_DST = Uint8Array.from(ISA, ({ dst }) => (dst === 'read' ? BPF_REG_FP : BPF_REG_FP - 1));
const LAST_SRC = Uint8Array.from(ISA, ({ src }) => (src === 'read' ? BPF_REG_FP : BPF_REG_FP - 1));

/** True for the common case: the opcode's first instruction, registers that it may name, reserved fields 0. */
function isPlain(code: BpfCode, slot: number, insn: number): boolean {
  if (HAS_FIXED[insn] === 1) return false;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  if (dst > (LAST_DST[insn] as number) || src > (LAST_SRC[insn] as number)) return false;
  const set =
    (dst !== 0 ? DST : 0) | (src !== 0 ? SRC : 0) | (code.off[slot] !== 0 ? OFF : 0) | (code.imm[slot] !== 0 ? IMM : 0);
  return (set & (MUST_BE_ZERO[insn] as number)) === 0;
}
