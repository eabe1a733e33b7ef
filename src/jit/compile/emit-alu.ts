import type { AluOp, Insn, SignedOp, Width } from '../bpf/index.ts';
import { RAX, RCX, RDX } from '../x86/registers.ts';
import type { CodeBuffer } from './code-buffer.ts';
import { AUX, AX, isImm8, modRm, modRmOne, putMov, putMov64, putMovImm32, putRex, putRexOne, rex } from './x86.ts';

/** Writes one instruction; `dst` and `src` are x86 registers. */
export type Emit = (b: CodeBuffer, dst: number, src: number, off: number, imm: number) => void;
type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

export interface EmitOptions {
  readonly bmi2: boolean;
  /** r11 is not taken as a scratch register. */
  readonly keepsR11: boolean;
}

/** Opcode of the register form, opcode extension of the immediate form as ModRM for %rax, opcode of the short form for %rax. */
const SIMPLE: Readonly<Partial<Record<AluOp | SignedOp, readonly [number, number, number]>>> = {
  add: [0x01, 0xc0, 0x05],
  sub: [0x29, 0xe8, 0x2d],
  and: [0x21, 0xe0, 0x25],
  or: [0x09, 0xc8, 0x0d],
  xor: [0x31, 0xf0, 0x35],
};
/** ModRM of the shift for %rax and the VEX prefix of its BMI2 form. */
const SHIFTS: Readonly<Partial<Record<AluOp | SignedOp, readonly [number, number]>>> = {
  lsh: [0xe0, 1],
  rsh: [0xe8, 3],
  arsh: [0xf8, 2],
};

export function emitAlu({ op, width, from }: Of<'alu'>, options: EmitOptions): Emit {
  const is64 = width === 64;
  const simple = SIMPLE[op];
  if (simple !== undefined) return from === 'reg' ? simpleRegister(simple[0], is64) : simpleImmediate(simple, is64);
  const shift = SHIFTS[op];
  if (shift !== undefined) return from === 'reg' ? shiftRegister(shift, is64, options) : shiftImmediate(shift[0], is64);
  if (op === 'mul') return from === 'reg' ? multiplyRegister(is64) : multiplyImmediate(is64);
  return divide(op, width, from, options.keepsR11 ? AX : AUX);
}

const simpleRegister =
  (opcode: number, is64: boolean): Emit =>
  (b, dst, src) => {
    putRex(b, dst, src, is64);
    b.put2(opcode, modRm(dst, src));
  };

const simpleImmediate =
  ([, extension, short]: readonly [number, number, number], is64: boolean): Emit =>
  (b, dst, _src, _off, imm) => {
    putRexOne(b, dst, is64);
    if (isImm8(imm)) {
      b.put3(0x83, modRmOne(extension, dst), imm);
      return;
    }
    if (dst === RAX) b.put1(short);
    else b.put2(0x81, modRmOne(extension, dst));
    b.put32(imm);
  };

const multiplyRegister =
  (is64: boolean): Emit =>
  (b, dst, src) => {
    putRex(b, src, dst, is64);
    b.put3(0x0f, 0xaf, modRm(src, dst));
  };

const multiplyImmediate =
  (is64: boolean): Emit =>
  (b, dst, _src, _off, imm) => {
    putRex(b, dst, dst, is64);
    if (isImm8(imm)) b.put3(0x6b, modRm(dst, dst), imm);
    else {
      b.put2(0x69, modRm(dst, dst));
      b.put32(imm);
    }
  };

const shiftImmediate =
  (extension: number, is64: boolean): Emit =>
  (b, dst, _src, _off, imm) => {
    putRexOne(b, dst, is64);
    if (imm === 1) b.put2(0xd1, modRmOne(extension, dst));
    else b.put3(0xc1, modRmOne(extension, dst), imm);
  };

/** `xchg %src,%rcx` */
const swapWithRcx = (b: CodeBuffer, src: number): void => b.put3(rex(0x48, src, RCX), 0x87, modRm(src, RCX));

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
      putRexOne(b, src, is64);
      b.put2(0xd3, modRmOne(extension, src));
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
    putRexOne(b, shifted, is64);
    b.put2(0xd3, modRmOne(extension, shifted));
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
      b.put3(0x49, 0xc7, modRmOne(0xc0, scratch));
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
    putRexOne(b, divisor, is64);
    b.put2(0xf7, modRmOne(isSigned ? 0xf8 : 0xf0, divisor));
    if (wantsRemainder && dst !== RDX) putMov(b, is64, dst, RDX);
    else if (!wantsRemainder && dst !== RAX) putMov(b, is64, dst, RAX);
    if (dst !== RDX) b.put1(0x5a);
    if (dst !== RAX) b.put1(0x58);
  };
}

export function emitMov({ width, from }: Of<'mov'>): Emit {
  const is64 = width === 64;
  if (from === 'imm') return (b, dst, _src, _off, imm) => putMovImm32(b, is64, dst, imm);
  return (b, dst, src) => putMov(b, is64, dst, src);
}

export function emitMovsx({ width, size }: Of<'movsx'>): Emit {
  const opcode = size === 8 ? 0xbe : 0xbf;
  if (width === 64) {
    if (size === 32) return (b, dst, src) => b.put3(rex(0x48, src, dst), 0x63, modRm(src, dst));
    return (b, dst, src) => b.put4(rex(0x48, src, dst), 0x0f, opcode, modRm(src, dst));
  }
  return (b, dst, src) => {
    // The low byte of %rsi and %rdi can only be named with a REX.
    if (size === 8 || dst > 7 || src > 7) b.put1(rex(0x40, src, dst));
    b.put3(0x0f, opcode, modRm(src, dst));
  };
}

export function emitNeg({ width }: Of<'neg'>): Emit {
  return (b, dst) => {
    putRexOne(b, dst, width === 64);
    b.put2(0xf7, modRmOne(0xd8, dst));
  };
}

/** `movzwl %ax,%eax` */
function zeroExtend16(b: CodeBuffer, dst: number): void {
  if (dst > 7) b.put1(0x45);
  b.put3(0x0f, 0xb7, modRm(dst, dst));
}

export function emitSwap({ op, size }: Of<'swap'>): Emit {
  if (op === 'le') {
    if (size === 16) return zeroExtend16;
    if (size === 64) return () => undefined;
    return (b, dst) => putMov32(b, dst);
  }
  if (size === 16) {
    return (b, dst) => {
      b.put1(0x66);
      if (dst > 7) b.put1(0x41);
      b.put3(0xc1, modRmOne(0xc8, dst), 8);
      zeroExtend16(b, dst);
    };
  }
  return (b, dst) => {
    putRexOne(b, dst, size === 64);
    b.put2(0x0f, modRmOne(0xc8, dst));
  };
}

/** `mov %eax,%eax` */
function putMov32(b: CodeBuffer, dst: number): void {
  if (dst > 7) b.put1(0x45);
  b.put2(0x89, modRm(dst, dst));
}
