import { err, ok, type Result } from '../../base/index.ts';
import { type BpfCode, emptyBpfCode, SECOND_SLOT } from './code.ts';
import { type DecodeOptions, decodeClosely } from './decode-closely.ts';
import type { Insn } from './insn.ts';
import { BY_CODE, insnTable } from './isa.ts';
import { BPF_INSN_SIZE, BPF_LD_IMM64, BPF_REG_FP } from './opcodes.ts';

/** BPF_COMPLEXITY_LIMIT_INSNS (include/linux/bpf.h, 6.12): what a privileged program may have. */
export const BPF_INSNS_MAX = 1_000_000;

const LOAD = 'bpf_prog_load, kernel/bpf/syscall.c (6.12)';

// Not looked up in another module for each slot.
const SLOT_BYTES = BPF_INSN_SIZE;
const WIDE = BPF_LD_IMM64;
const SECOND = SECOND_SLOT;
/** In the place of an instruction: none. */
const NONE = 255;
const PUBLIC = BY_CODE.map((insns) => insns.filter(({ since }) => since !== undefined));
/** The instructions that programs may have, those of one opcode in a chain. */
const FIRST = Uint8Array.from(PUBLIC, ([first]) => first?.index ?? NONE);
const NEXT = insnTable(({ code, index }) => {
  const insns = PUBLIC[code] as readonly Insn[];
  return insns[insns.findIndex((insn) => insn.index === index) + 1]?.index ?? NONE;
});

/** The last register that each field may name: R10 only where it is read. */
const lastRegister = (use: Insn['dst']): number =>
  use === 'unused' ? 0 : use === 'read' ? BPF_REG_FP : BPF_REG_FP - 1;
const LAST_DST = insnTable(({ dst }) => lastRegister(dst));
const LAST_SRC = insnTable(({ src }) => (typeof src === 'number' ? src : lastRegister(src)));
const [SRC, OFF, IMM] = [1, 2, 4];
const isFixed = (use: Insn['src'] | Insn['off'] | Insn['imm']): boolean => typeof use === 'number' || use === 'unused';
const fixedValue = (use: Insn['src'] | Insn['off'] | Insn['imm']): number => (typeof use === 'number' ? use : 0);
/** Which fields can have one value only, and that value. */
const FIXED = insnTable(
  ({ src, off, imm }) => (isFixed(src) ? SRC : 0) | (isFixed(off) ? OFF : 0) | (isFixed(imm) ? IMM : 0),
);
const SRC_VALUE = insnTable(({ src }) => fixedValue(src));
const OFF_VALUE = insnTable(({ off }) => fixedValue(off));
const IMM_VALUE = insnTable(({ imm }) => fixedValue(imm));

/**
 * Reads instructions, 8 bytes a slot, little-endian. Looks at each instruction alone; `layOutBpf` looks at where they jump.
 *
 * Faults, each with the slot in `index`: EINVAL unknown opcode, reserved field that is set, register that does not exist, half a 64-bit
 * immediate, bytes that are no whole number of instructions; EACCES a write to R10; E2BIG none or more than a million slots.
 */
export function decodeBpf(bytes: Uint8Array, options: DecodeOptions = {}): Result<BpfCode> {
  if (bytes.length % BPF_INSN_SIZE !== 0) {
    const detail = `${bytes.length} bytes are no whole number of ${BPF_INSN_SIZE}-byte instructions`;
    return err({ errno: 'EINVAL', rule: 'bpf.program.size', detail, linux: LOAD });
  }
  const length = bytes.length / BPF_INSN_SIZE;
  if (length === 0 || length > BPF_INSNS_MAX) {
    const detail = `a program has 1 to ${BPF_INSNS_MAX} instructions, not ${length}`;
    return err({ errno: 'E2BIG', rule: 'bpf.program.size', detail, linux: LOAD });
  }
  return readSlots(bytes, emptyBpfCode(length), options);
}

/** An instruction whose every field may be what it is is found by tables; any other, good or bad, is looked at closely. */
function readSlots(bytes: Uint8Array, columns: BpfCode, options: DecodeOptions): Result<BpfCode> {
  const { length, code, dst, src, off, imm, insn } = columns;
  for (let slot = 0, at = 0; slot < length; slot++, at += SLOT_BYTES) {
    const opcode = bytes[at] as number;
    const registers = bytes[at + 1] as number;
    const offset = (((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) << 16) >> 16;
    const immediate = read32(bytes, at + 4);
    code[slot] = opcode;
    dst[slot] = registers & 15;
    src[slot] = registers >> 4;
    off[slot] = offset;
    imm[slot] = immediate;
    let found = FIRST[opcode] as number;
    while (found !== NONE && !isIt(found, registers & 15, registers >> 4, offset, immediate))
      found = NEXT[found] as number;
    if (found === NONE || (opcode === WIDE && !hasSecondSlot(bytes, at))) {
      const close = decodeClosely(bytes, slot, options);
      if (!close.ok) return close;
      found = close.value.index;
    }
    insn[slot] = found;
    if (opcode !== WIDE) continue;
    slot += 1;
    at += SLOT_BYTES;
    insn[slot] = SECOND;
    imm[slot] = read32(bytes, at + 4);
  }
  return ok(columns);
}

const read32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

function isIt(insn: number, dst: number, src: number, off: number, imm: number): boolean {
  const others =
    (src === SRC_VALUE[insn] ? 0 : SRC) | (off === OFF_VALUE[insn] ? 0 : OFF) | (imm === IMM_VALUE[insn] ? 0 : IMM);
  if ((others & (FIXED[insn] as number)) !== 0) return false;
  return dst <= (LAST_DST[insn] as number) && src <= (LAST_SRC[insn] as number);
}

/** The second half of a 64-bit immediate is there, with its reserved fields 0. */
const hasSecondSlot = (bytes: Uint8Array, at: number): boolean =>
  at + 2 * SLOT_BYTES <= bytes.length && read32(bytes, at + SLOT_BYTES) === 0;
