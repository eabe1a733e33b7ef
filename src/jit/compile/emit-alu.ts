import type { AluOp, Insn, SignedOp, Width } from '../bpf/index.ts';
import { RAX, RCX, RDX } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';
import { AUX, AX, modRm, putMov, putMov64, putRegister, putRegister8, putRegisters, rex, rexBase } from './x86.ts';

/** Writes one instruction; `dst` and `src` are x86 registers. */
export type Emit = (b: CodeBuffer, dst: number, src: number, off: number, imm: number) => void;
type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

export interface EmitOptions {
  readonly bmi2: boolean;
  /** r11 is not taken as a scratch register. */
  readonly keepsR11: boolean;
}

/** ModRM of the shift for %rax and the VEX prefix of its BMI2 form. */
const SHIFTS: Readonly<Partial<Record<AluOp | SignedOp, readonly [number, number]>>> = {
  lsh: [0xe0, 1],
  rsh: [0xe8, 3],
  arsh: [0xf8, 2],
};

/** Divisions, and shifts by a register. */
export function emitAlu({ op, width, from }: Of<'alu'>, options: EmitOptions): Emit {
  const is64 = width === 64;
  const shift = SHIFTS[op];
  if (shift !== undefined) return shiftRegister(shift, is64, options);
  return divide(op, width, from, options.keepsR11 ? AX : AUX);
}

/** `xchg %src,%rcx` */
const swapWithRcx = (b: CodeBuffer, src: number): void => putRegisters(b, 0x48, 0x87, src, RCX);

/**
 * shlx, shrx, sarx where the CPU has them and the count is not in %cl already; else the count goes through %cl. A value that is in %rcx itself
 * waits in r11, or changes places with the count where r11 is kept.
 */
const shiftRegister =
  ([extension, prefix]: readonly [number, number], is64: boolean, { bmi2, keepsR11 }: EmitOptions): Emit =>
  (b, dst, src) => {
    if (bmi2 && src !== RCX) {
      const high = dst > 7 ? 0 : 0xa0;
      b.put3(0xc4, high | 0x42, (is64 ? 0x80 : 0) | ((~src & 15) << 3) | prefix);
      b.put2(0xf7, modRm(dst, dst));
      return;
    }
    if (keepsR11 && dst === RCX && src !== RCX) {
      swapWithRcx(b, src);
      putRegister(b, rexBase(is64), 0xd3, extension, src);
      swapWithRcx(b, src);
      return;
    }
    let shifted = dst;
    if (src !== RCX) {
      if (dst === RCX) {
        putMov64(b, AUX, dst);
        shifted = AUX;
      } else b.put1(0x51);
      putMov64(b, RCX, src);
    }
    putRegister(b, rexBase(is64), 0xd3, extension, shifted);
    if (src === RCX) return;
    if (dst === RCX) putMov64(b, dst, AUX);
    else b.put1(0x59);
  };

/**
 * %rax and %rdx are saved around the division unless one of them is the destination; the divisor goes to a scratch register when it is a
 * constant or lives in one of the two: to %r11 as the kernel has it, or to AX, which is free here (blinding, the only one that lives in it,
 * gives the division its register form).
 */
function divide(op: AluOp | SignedOp, width: Width, from: 'imm' | 'reg', scratch: number): Emit {
  const is64 = width === 64;
  const isSigned = op === 'sdiv' || op === 'smod';
  const wantsRemainder = op === 'mod' || op === 'smod';
  return (b, dst, src, _off, imm) => {
    if (dst !== RAX) b.put1(0x50);
    if (dst !== RDX) b.put1(0x52);
    let divisor = src;
    if (from === 'imm') {
      putRegister(b, 0x48, 0xc7, 0xc0, scratch);
      b.put32(imm);
      divisor = scratch;
    } else if (src === RAX || src === RDX) {
      putMov64(b, scratch, src);
      divisor = scratch;
    }
    if (dst !== RAX) putMov(b, is64, RAX, dst);
    if (!isSigned) b.put2(0x31, 0xd2);
    else {
      if (is64) b.put1(0x48);
      b.put1(0x99);
    }
    putRegister(b, rexBase(is64), 0xf7, isSigned ? 0xf8 : 0xf0, divisor);
    if (wantsRemainder && dst !== RDX) putMov(b, is64, dst, RDX);
    else if (!wantsRemainder && dst !== RAX) putMov(b, is64, dst, RAX);
    if (dst !== RDX) b.put1(0x5a);
    if (dst !== RAX) b.put1(0x58);
  };
}

/** From 8 to 32 bits: the low byte of %rsi and %rdi can only be named with a REX. */
export const emitMovsx8: Emit = (b, dst, src) => b.put(rex(0x40, src, dst) | 0xbe_0f_00 | (modRm(src, dst) << 24), 4);

/** `movzwl %ax,%eax` */
function zeroExtend16(b: CodeBuffer, dst: number): void {
  b.putRexed(rex(0x40, dst, dst) | 0xb7_0f_00 | (modRm(dst, dst) << 24), 4);
}

export function emitSwap({ op, size }: Of<'swap'>): Emit {
  if (op === 'le') {
    if (size === 16) return zeroExtend16;
    if (size === 64) return () => undefined;
    return (b, dst) => putMov(b, false, dst, dst);
  }
  if (size === 16) {
    return (b, dst) => {
      b.put1(0x66);
      putRegister8(b, 0x40, 0xc1, 0xc8, dst, 8);
      zeroExtend16(b, dst);
    };
  }
  const base = rexBase(size === 64);
  return (b, dst) => putRegister(b, base, 0x0f, 0xc8, dst);
}
