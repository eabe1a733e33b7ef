import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { Insn } from './insn.ts';
import { BY_CODE } from './isa.ts';
import { BPF_INSN_SIZE, BPF_LD_IMM64, BPF_REG_FP, MAX_BPF_REG } from './opcodes.ts';

const VERIFIER = 'do_check, kernel/bpf/verifier.c (6.12)';
const LD_IMM = 'resolve_pseudo_ldimm64, kernel/bpf/verifier.c (6.12)';

export interface DecodeOptions {
  /** True for code that a verifier has rewritten: R11, PROBE_MEM loads, the speculation barrier and tail calls are then instructions. */
  readonly allowsInternal?: boolean;
  /** True when a verifier looks at the program: it refuses a write to R10 where some path leads to it, and nowhere else. */
  readonly allowsFrameWrite?: boolean;
}

/** The fields of one instruction. */
interface Slot {
  readonly index: number;
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

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

function registerProblem(insn: Insn, slot: Slot, options: DecodeOptions): Fault | undefined {
  const end = options.allowsInternal === true ? MAX_BPF_REG + 1 : MAX_BPF_REG;
  const readsSource = typeof insn.src !== 'number' && insn.src !== 'unused';
  for (const register of [slot.dst, ...(readsSource ? [slot.src] : [])]) {
    if (register >= end) return fault(slot.index, 'bpf.insn.register', `R${register} is invalid`, VERIFIER);
  }
  const writesFrame =
    (slot.dst === BPF_REG_FP && (insn.dst === 'write' || insn.dst === 'update')) ||
    (slot.src === BPF_REG_FP && insn.src === 'update');
  if (!writesFrame || options.allowsFrameWrite === true) return undefined;
  return fault(slot.index, 'bpf.insn.frame-pointer', 'the frame pointer R10 is read only', VERIFIER, 'EACCES');
}

function secondSlotProblem(bytes: Uint8Array, first: number): Fault | undefined {
  const second = first + 1;
  if ((second + 1) * BPF_INSN_SIZE > bytes.length)
    return fault(first, 'bpf.insn.wide-immediate', 'the second half of a 64-bit immediate is missing', LD_IMM);
  const slot = readSlot(bytes, second);
  const set = (['code', 'dst', 'src', 'off'] as const).find((field) => slot[field] !== 0);
  if (set === undefined) return undefined;
  return fault(
    second,
    'bpf.insn.wide-immediate',
    `the second half of a 64-bit immediate has its ${set} set, which is reserved`,
    LD_IMM,
  );
}

function readSlot(bytes: Uint8Array, index: number): Slot {
  const view = new DataView(bytes.buffer, bytes.byteOffset + index * BPF_INSN_SIZE, BPF_INSN_SIZE);
  const registers = view.getUint8(1);
  return {
    index,
    code: view.getUint8(0),
    dst: registers & 15,
    src: registers >> 4,
    off: view.getInt16(2, true),
    imm: view.getInt32(4, true),
  };
}

/** Looks at one instruction field by field: which one it is, or what is wrong with it. */
export function decodeClosely(bytes: Uint8Array, index: number, options: DecodeOptions): Result<Insn> {
  const slot = readSlot(bytes, index);
  const allowsInternal = options.allowsInternal === true;
  const insn = find(slot, allowsInternal);
  if (insn === undefined) return err(notFound(slot, allowsInternal));
  const problem =
    registerProblem(insn, slot, options) ?? (slot.code === BPF_LD_IMM64 ? secondSlotProblem(bytes, index) : undefined);
  return problem === undefined ? ok(insn) : err(problem);
}
