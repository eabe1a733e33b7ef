/** BPF instructions as hex, for programs that tests write by hand. */
/** struct bpf_insn */
export function insn(code: number, dst = 0, src = 0, off = 0, imm = 0): string {
  const bytes = Buffer.alloc(8);
  bytes[0] = code;
  bytes[1] = dst | (src << 4);
  bytes.writeInt16LE(off, 2);
  bytes.writeInt32LE(imm | 0, 4);
  return bytes.toString('hex');
}

export const EXIT = insn(0x95);
export const movImm = (dst: number, imm: number): string => insn(0xb7, dst, 0, 0, imm);
export const mov = (dst: number, src: number): string => insn(0xbf, dst, src);
export const addImm = (dst: number, imm: number): string => insn(0x07, dst, 0, 0, imm);
export const add = (dst: number, src: number): string => insn(0x0f, dst, src);
export const load64 = (dst: number, src: number, off = 0): string => insn(0x79, dst, src, off);
export const store64 = (dst: number, off: number, src: number): string => insn(0x7b, dst, src, off);
export const storeImm = (dst: number, off: number, imm: number): string => insn(0x62, dst, 0, off, imm);
export const storeImm64 = (dst: number, off: number, imm: number): string => insn(0x7a, dst, 0, off, imm);
/** Skips `off` instructions when the register is 0. */
export const jumpIfZero = (register: number, off: number): string => insn(0x15, register, 0, off, 0);
export const call = (helper: number): string => insn(0x85, 0, 0, 0, helper);
/** Takes two slots. */
const wide = (dst: number, src: number, low: number, high: number): string =>
  insn(0x18, dst, src, 0, low) + insn(0, 0, 0, 0, high);
export const mapAt = (dst: number, index: number): string => wide(dst, 5, index, 0);
export const mapValue = (dst: number, index: number, off = 0): string => wide(dst, 6, index, off);
/** The address of a function `distance` slots behind the next instruction. */
export const functionAt = (dst: number, distance: number): string => wide(dst, 4, distance, 0);
/** `lock *(u64 *)(dst + off) += src` */
export const atomicAdd = (dst: number, off: number, src: number): string => insn(0xdb, dst, src, off, 0);

export const program = (...parts: readonly string[]): string => parts.join('');

/** Counts by its second argument in map 0, a hash of 8 and 8 bytes; sends both arguments to the ring buffer that is map 1. */
export const COUNT_AND_SEND = program(
  mov(6, 1),
  load64(7, 6, 8),
  store64(10, -8, 7),
  mapAt(1, 0),
  mov(2, 10),
  addImm(2, -8),
  call(1),
  jumpIfZero(0, 3),
  movImm(1, 1),
  atomicAdd(0, 0, 1),
  insn(0x05, 0, 0, 9),
  storeImm64(10, -16, 1),
  mapAt(1, 0),
  mov(2, 10),
  addImm(2, -8),
  mov(3, 10),
  addImm(3, -16),
  movImm(4, 0),
  call(2),
  mapAt(1, 1),
  movImm(2, 16),
  movImm(3, 0),
  call(131),
  jumpIfZero(0, 6),
  load64(1, 6, 0),
  store64(0, 0, 1),
  store64(0, 8, 7),
  mov(1, 0),
  movImm(2, 0),
  call(132),
  movImm(0, 0),
  EXIT,
);
