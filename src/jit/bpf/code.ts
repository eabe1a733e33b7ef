import { BPF_INSN_SIZE } from './opcodes.ts';

/** In {@link BpfCode.insn}: the second half of a 64-bit immediate. */
export const SECOND_SLOT = 255;
/** What all columns together take. */
const BYTES_PER_SLOT = 10;

/**
 * A program as columns, one element for each 8-byte slot (`struct bpf_insn`): what takes part in compiling thousands of instructions
 * reads and writes plain numbers.
 */
export interface BpfCode {
  readonly length: number;
  readonly code: Uint8Array;
  readonly dst: Uint8Array;
  readonly src: Uint8Array;
  readonly off: Int16Array;
  readonly imm: Int32Array;
  /** Place of each instruction in `ISA`, or {@link SECOND_SLOT}. */
  readonly insn: Uint8Array;
}

/** Columns of zeros, in one piece of memory: a short program takes longer to allocate for than to write. */
export function emptyBpfCode(length: number): BpfCode {
  const buffer = new ArrayBuffer(length * BYTES_PER_SLOT);
  const byteColumn = (index: number): Uint8Array => new Uint8Array(buffer, length * (6 + index), length);
  return {
    length,
    imm: new Int32Array(buffer, 0, length),
    off: new Int16Array(buffer, length * 4, length),
    code: byteColumn(0),
    dst: byteColumn(1),
    src: byteColumn(2),
    insn: byteColumn(3),
  };
}

/** The same columns, cut to `length` slots. */
export function sliceBpfCode(code: BpfCode, start: number, end: number): BpfCode {
  return {
    length: end - start,
    code: code.code.subarray(start, end),
    dst: code.dst.subarray(start, end),
    src: code.src.subarray(start, end),
    off: code.off.subarray(start, end),
    imm: code.imm.subarray(start, end),
    insn: code.insn.subarray(start, end),
  };
}

/** `struct bpf_insn` in little-endian order, 8 bytes a slot. */
export function bytesOfBpfCode(code: BpfCode): Uint8Array {
  const bytes = new Uint8Array(code.length * BPF_INSN_SIZE);
  const view = new DataView(bytes.buffer);
  for (let slot = 0; slot < code.length; slot++) {
    const at = slot * BPF_INSN_SIZE;
    bytes[at] = code.code[slot] as number;
    bytes[at + 1] = (code.dst[slot] as number) | ((code.src[slot] as number) << 4);
    view.setInt16(at + 2, code.off[slot] as number, true);
    view.setInt32(at + 4, code.imm[slot] as number, true);
  }
  return bytes;
}

/** The constant of a 64-bit immediate that begins at this slot, unsigned. */
export function immediate64(code: BpfCode, slot: number): bigint {
  const low = BigInt((code.imm[slot] as number) >>> 0);
  return low | (BigInt((code.imm[slot + 1] as number) >>> 0) << 32n);
}

/** The same backwards: what its two slots have. */
export const immediateHalves = (value: bigint): readonly [low: number, high: number] => [
  Number(BigInt.asIntN(32, value)),
  Number(BigInt.asIntN(32, value >> 32n)),
];
