import { BPF_INSN_SIZE } from './opcodes.ts';

/** In {@link BpfCode.insn}: the second half of a 64-bit immediate. */
export const SECOND_SLOT = 255;

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

export function emptyBpfCode(length: number): BpfCode {
  return {
    length,
    code: new Uint8Array(length),
    dst: new Uint8Array(length),
    src: new Uint8Array(length),
    off: new Int16Array(length),
    imm: new Int32Array(length),
    insn: new Uint8Array(length),
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
