import { invariant } from '../../base/index.ts';
import { CALL_INSN_OPCODE, fillNops, fitsS8, fitsS32, JMP32_INSN_OPCODE } from '../../insn/index.ts';
import { type Register, RSP } from './registers.ts';

/**
 * A small assembler for generated code that will live at a known place. It chooses encodings as the kernel's BPF JIT does
 * (arch/x86/net/bpf_jit_comp.c): a displacement always has one byte or four, 64-bit constants take the shortest of `xor`,
 * `mov r32`, sign-extending `mov` and `movabs`.
 */
export interface X86Emitter {
  /** Bytes so far. */
  readonly length: number;
  /** Where the next byte will live, counted from `_text`. */
  readonly here: number;
  /** Branch targets that a rel32 did not reach, counted from `_text`; their bytes are meaningless. */
  readonly outOfReach: readonly number[];
  raw(...bytes: readonly number[]): void;
  bytes(bytes: Uint8Array): void;
  imm32(value: number): void;
  /** `mov $value,%reg`: emit_mov_imm64. */
  movImm64(reg: Register, value: bigint): void;
  /** `mov %source,%destination`, 64 bits; nothing when they are the same. */
  movReg(destination: Register, source: Register): void;
  /** `mov %reg,displacement(%base)`: emit_stx BPF_DW. */
  store(base: Register, displacement: number, reg: Register): void;
  /** `mov displacement(%base),%reg`: emit_ldx BPF_DW. */
  load(reg: Register, base: Register, displacement: number): void;
  /** `lea displacement(%base),%reg`. */
  lea(reg: Register, base: Register, displacement: number): void;
  push(reg: Register): void;
  pop(reg: Register): void;
  call(target: number): void;
  jmp(target: number): void;
  /** Canonical NOPs, as few as possible. */
  nops(length: number): void;
  /** NOPs up to a multiple of `alignment`, counted from the first byte (the kernel aligns in its buffer, too). */
  align(alignment: number): void;
  /** Overwrites bytes emitted before; `index` counts from the first byte. */
  patch(index: number, bytes: Uint8Array | readonly number[]): void;
  finish(): Uint8Array;
}

/** @param at where the first byte will live, counted from `_text` @param nopMax longest single NOP: 11 in 6.12, 8 in 6.1 */
export function x86Emitter(at: number, nopMax = 11): X86Emitter {
  let out = new Uint8Array(512);
  let length = 0;
  const outOfReach: number[] = [];

  const raw = (...bytes: readonly number[]): void => {
    if (length + bytes.length > out.length) {
      const grown = new Uint8Array(Math.max(out.length * 2, length + bytes.length));
      grown.set(out);
      out = grown;
    }
    for (const byte of bytes) {
      out[length] = byte;
      length += 1;
    }
  };
  const imm32 = (value: number): void =>
    raw(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff);
  const rexW = (reg: number, rm: number): number => 0x48 | (reg > 7 ? 4 : 0) | (rm > 7 ? 1 : 0);
  const memory = (opcode: number, reg: Register, base: Register, displacement: number): void => {
    invariant((base & 7) !== RSP, 'a memory operand based on %rsp or %r12 needs a SIB byte');
    const short = fitsS8(displacement);
    raw(rexW(reg, base), opcode, (short ? 0x40 : 0x80) | ((reg & 7) << 3) | (base & 7));
    if (short) raw(displacement & 0xff);
    else imm32(displacement);
  };
  const branch = (opcode: number, target: number): void => {
    const displacement = target - (at + length + 5);
    if (!fitsS32(displacement)) outOfReach.push(target);
    raw(opcode);
    imm32(displacement | 0);
  };

  return {
    get length() {
      return length;
    },
    get here() {
      return at + length;
    },
    get outOfReach() {
      return outOfReach;
    },
    raw,
    bytes: (bytes) => raw(...bytes),
    imm32,
    movImm64(reg, value) {
      const unsigned = BigInt.asUintN(64, value);
      const low = Number(BigInt.asIntN(32, unsigned));
      if (unsigned === 0n) raw(...(reg > 7 ? [0x45] : []), 0x31, 0xc0 | ((reg & 7) << 3) | (reg & 7));
      else if (unsigned <= 0xffff_ffffn) {
        raw(...(reg > 7 ? [0x41] : []), 0xb8 | (reg & 7));
        imm32(low);
      } else if (BigInt.asIntN(64, unsigned) === BigInt(low)) {
        raw(rexW(0, reg), 0xc7, 0xc0 | (reg & 7));
        imm32(low);
      } else {
        raw(rexW(0, reg), 0xb8 | (reg & 7));
        imm32(low);
        imm32(Number(BigInt.asIntN(32, unsigned >> 32n)));
      }
    },
    movReg(destination, source) {
      if (destination !== source) raw(rexW(source, destination), 0x89, 0xc0 | ((source & 7) << 3) | (destination & 7));
    },
    store: (base, displacement, reg) => memory(0x89, reg, base, displacement),
    load: (reg, base, displacement) => memory(0x8b, reg, base, displacement),
    lea: (reg, base, displacement) => memory(0x8d, reg, base, displacement),
    push: (reg) => raw(...(reg > 7 ? [0x41] : []), 0x50 | (reg & 7)),
    pop: (reg) => raw(...(reg > 7 ? [0x41] : []), 0x58 | (reg & 7)),
    call: (target) => branch(CALL_INSN_OPCODE, target),
    jmp: (target) => branch(JMP32_INSN_OPCODE, target),
    nops: (count) => raw(...fillNops(count, nopMax)),
    align(alignment) {
      const over = length % alignment;
      if (over !== 0) raw(...fillNops(alignment - over, nopMax));
    },
    patch(index, bytes) {
      invariant(index >= 0 && index + bytes.length <= length, 'a patch beyond what was emitted');
      out.set(bytes, index);
    },
    finish: () => out.slice(0, length),
  };
}
