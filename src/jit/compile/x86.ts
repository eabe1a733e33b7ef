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
export const rex = (base: number, rm: number, reg: number): number => base | (rm >> 3) | ((reg >> 3) << 2);

/** REX where the registers or the width ask for one (maybe_emit_mod). */
export function putRex(b: CodeBuffer, rm: number, reg: number, is64: boolean): void {
  if (is64) b.put1(rex(0x48, rm, reg));
  else if (rm > 7 || reg > 7) b.put1(rex(0x40, rm, reg));
}

/** The same for one register (maybe_emit_1mod). */
export function putRexOne(b: CodeBuffer, rm: number, is64: boolean): void {
  if (is64) b.put1(0x48 | (rm >> 3));
  else if (rm > 7) b.put1(0x40 | (rm >> 3));
}

/** `mov %src,%dst`, 64 bits; nothing between one register and itself. */
export function putMov64(b: CodeBuffer, dst: number, src: number): void {
  if (dst !== src) b.put3(rex(0x48, dst, src), 0x89, modRm(dst, src));
}

/** `mov %src32,%dst32`: clears the upper half, also of one register. */
export function putMov32(b: CodeBuffer, dst: number, src: number): void {
  putRex(b, dst, src, false);
  b.put2(0x89, modRm(dst, src));
}

export function putMov(b: CodeBuffer, is64: boolean, dst: number, src: number): void {
  if (is64) putMov64(b, dst, src);
  else putMov32(b, dst, src);
}

/** emit_mov_imm32: the shortest of `xor`, `mov r32` and sign-extending `mov`. */
export function putMovImm32(b: CodeBuffer, isSigned: boolean, dst: number, imm: number): void {
  if (isSigned && imm < 0) {
    b.put3(0x48 | (dst >> 3), 0xc7, modRmOne(0xc0, dst));
    b.put32(imm);
    return;
  }
  if (imm === 0) {
    if (dst > 7) b.put1(rex(0x40, dst, dst));
    b.put2(0x31, modRm(dst, dst));
    return;
  }
  if (dst > 7) b.put1(0x41);
  b.put1(0xb8 | (dst & 7));
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

/** ModRM and displacement of `off(%base)`: always one byte or four (emit_insn_suffix). */
export function putMemory(b: CodeBuffer, base: number, reg: number, off: number): void {
  if (isImm8(off)) b.put2(0x40 | (base & 7) | ((reg & 7) << 3), off);
  else {
    b.put1(0x80 | (base & 7) | ((reg & 7) << 3));
    b.put32(off);
  }
}
