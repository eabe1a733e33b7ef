import { BPF_REG_AX } from '../bpf/index.ts';
import { R8, R10, R11, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, type Register, RSI } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';

/** Where each BPF register lives (reg2hex, arch/x86/net/bpf_jit_comp.c, 6.12); the last two, AX and r11, only rewrites use. */
export const X86_REGISTER: readonly Register[] = [RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP, R10, R11];
/** Register that no BPF register lives in, for sequences of several instructions (AUX_REG). */
export const AUX = R11;
export const AX = X86_REGISTER[BPF_REG_AX] as Register;

export const isImm8 = (value: number): boolean => value <= 127 && value >= -128;

/** A ModRM byte for two registers. */
export const modRm = (rm: number, reg: number): number => 0xc0 | (rm & 7) | ((reg & 7) << 3);
/** A ModRM byte for one register and an opcode extension, given as the byte for %rax. */
export const modRmOne = (base: number, rm: number): number => base | (rm & 7);
/** REX with the high bits of the registers in ModRM. */
export const rex = (base: number, rm: number, reg: number): number => base | (rm >> 3) | ((reg >> 3) << 2);

/** REX.W or, for 32 bits, the REX that {@link CodeBuffer.putRexed} leaves out when no high register makes it necessary. */
export const rexBase = (is64: boolean): number => (is64 ? 0x48 : 0x40);

/** `opcode` for two registers, with a REX where they or the width ask for one (maybe_emit_mod). */
export function putRegisters(b: CodeBuffer, base: number, opcode: number, rm: number, reg: number): void {
  b.putRexed(rex(base, rm, reg) | (opcode << 8) | (modRm(rm, reg) << 16), 3);
}

/** The same for one register and an opcode extension, given as the ModRM byte for %rax (maybe_emit_1mod). */
export function putRegister(b: CodeBuffer, base: number, opcode: number, extension: number, rm: number): void {
  b.putRexed(base | (rm >> 3) | (opcode << 8) | (modRmOne(extension, rm) << 16), 3);
}

/** The same with an immediate of 8 bits behind it. */
export function putRegister8(
  b: CodeBuffer,
  base: number,
  opcode: number,
  extension: number,
  rm: number,
  imm: number,
): void {
  b.putRexed(base | (rm >> 3) | (opcode << 8) | (modRmOne(extension, rm) << 16) | (imm << 24), 4);
}

/** `mov %src,%dst`, 64 bits; nothing between one register and itself. */
export function putMov64(b: CodeBuffer, dst: number, src: number): void {
  if (dst !== src) putRegisters(b, 0x48, 0x89, dst, src);
}

export function putMov(b: CodeBuffer, is64: boolean, dst: number, src: number): void {
  // A 32-bit move clears the upper half, also of one register.
  if (!is64 || dst !== src) putRegisters(b, rexBase(is64), 0x89, dst, src);
}

/** emit_mov_imm32: the shortest of `xor`, `mov r32` and sign-extending `mov`. */
export function putMovImm32(b: CodeBuffer, isSigned: boolean, dst: number, imm: number): void {
  if (imm === 0) {
    putRegisters(b, 0x40, 0x31, dst, dst);
    return;
  }
  if (isSigned && imm < 0) putRegister(b, 0x48, 0xc7, 0xc0, dst);
  else b.putRexed(0x40 | (dst >> 3) | (0xb8 << 8) | ((dst & 7) << 8), 2);
  b.put32(imm);
}

/** emit_mov_imm64: a 64-bit constant in 2 to 10 bytes. */
export function putMovImm64(b: CodeBuffer, dst: number, high: number, low: number): void {
  if (high === 0) putMovImm32(b, false, dst, low);
  else if (high === -1 && low < 0) putMovImm32(b, true, dst, low);
  else {
    b.put2(0x48 | (dst >> 3), 0xb8 | (dst & 7));
    b.put32(low);
    b.put32(high);
  }
}

const DISPLACEMENT_8 = 0x40;
const DISPLACEMENT_32 = 0x80;

/** A one-byte opcode with `reg` and `off(%base)`: the displacement always takes one byte or four (emit_insn_suffix). */
export function putMemory(b: CodeBuffer, opcode: number, base: number, reg: number, off: number): void {
  const start = opcode | ((base & 7) << 8) | ((reg & 7) << 11);
  if (isImm8(off)) b.put(start | (DISPLACEMENT_8 << 8) | (off << 16), 3);
  else {
    b.put(start | (DISPLACEMENT_32 << 8), 2);
    b.put32(off);
  }
}

/** The same behind a REX. */
export function putAccess(b: CodeBuffer, prefix: number, opcode: number, base: number, reg: number, off: number): void {
  const start = rex(prefix, base, reg) | (opcode << 8) | ((base & 7) << 16) | ((reg & 7) << 19);
  if (isImm8(off)) b.putRexed(start | (DISPLACEMENT_8 << 16) | (off << 24), 4);
  else {
    b.putRexed(start | (DISPLACEMENT_32 << 16), 3);
    b.put32(off);
  }
}
