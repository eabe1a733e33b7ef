/**
 * Shifts and rotates. Counts are masked (to 5 bits, 6 for 64-bit operands) and not 0: with 0 nothing happens, not even to flags. The flags that the
 * SDM leaves undefined: AF behind shifts is cleared; OF for counts above 1 is computed by the rule for 1; CF of shl and shr by the operand's
 * size and more is the bit that a longer operand would have shifted out last (0).
 */
import type { Cpu } from '../cpu.ts';
import { carryVector, getCF } from '../flags.ts';
import { FLAG_CARRY } from '../registers.ts';
import { logicNarrow, logicWide } from './alu-ops.ts';
import { bitOf, rotateLeft, shiftLeft, shiftRight, shiftRightSigned } from './wide-shift.ts';

export interface ShiftOp {
  /** `a` is zero-extended from `bits` (8, 16) or signed (32). */
  readonly narrow: (r: Int32Array, a: number, count: number, bits: number) => number;
  readonly wide: (c: Cpu, low: number, high: number, count: number) => number;
  readonly isRotate: boolean;
}

function setCarry(r: Int32Array, cf: number, of: number): void {
  r[FLAG_CARRY] = carryVector(cf & 1, of & 1);
}

export const SHL: ShiftOp = {
  narrow: (r, a, count, bits) => {
    const result = logicNarrow(r, a << count, 32 - bits);
    const cf = count <= bits ? (a >>> (bits - count)) & 1 : 0;
    setCarry(r, cf, cf ^ (result >>> (bits - 1)));
    return result;
  },
  wide: (c, low, high, count) => {
    const result = logicWide(c, shiftLeft(c, low, high, count), c.valueHigh);
    const cf = bitOf(low, high, 64 - count);
    setCarry(c.words, cf, cf ^ (c.valueHigh >>> 31));
    return result;
  },
  isRotate: false,
};

export const SHR: ShiftOp = {
  narrow: (r, a, count, bits) => {
    const result = logicNarrow(r, a >>> count, 32 - bits);
    setCarry(r, a >>> (count - 1), (result >>> (bits - 1)) ^ (result >>> (bits - 2)));
    return result;
  },
  wide: (c, low, high, count) => {
    const result = logicWide(c, shiftRight(c, low, high, count), c.valueHigh);
    setCarry(c.words, bitOf(low, high, count - 1), (c.valueHigh >>> 31) ^ (c.valueHigh >>> 30));
    return result;
  },
  isRotate: false,
};

export const SAR: ShiftOp = {
  narrow: (r, a, count, bits) => {
    const signed = (a << (32 - bits)) >> (32 - bits);
    const result = logicNarrow(r, signed >> count, 32 - bits);
    setCarry(r, signed >> (count - 1), 0);
    return result;
  },
  wide: (c, low, high, count) => {
    const result = logicWide(c, shiftRightSigned(c, low, high, count), c.valueHigh);
    setCarry(c.words, bitOf(low, high, count - 1), 0);
    return result;
  },
  isRotate: false,
};

/** Rotates leave SF, ZF, AF and PF. */
export const ROL: ShiftOp = {
  narrow: (r, a, count, bits) => {
    const n = count & (bits - 1);
    const result = n === 0 ? a : (a << n) | ((bits === 32 ? a : a & ((1 << bits) - 1)) >>> (bits - n));
    setCarry(r, result, result ^ (result >>> (bits - 1)));
    return result;
  },
  wide: (c, low, high, count) => {
    const result = rotateLeft(c, low, high, count);
    setCarry(c.words, result, result ^ (c.valueHigh >>> 31));
    return result;
  },
  isRotate: true,
};

export const ROR: ShiftOp = {
  narrow: (r, a, count, bits) => {
    const n = count & (bits - 1);
    const result = n === 0 ? a : (a >>> n) | (a << (bits - n));
    setCarry(r, result >>> (bits - 1), (result >>> (bits - 1)) ^ (result >>> (bits - 2)));
    return result;
  },
  wide: (c, low, high, count) => {
    const result = rotateLeft(c, low, high, (64 - count) & 63);
    setCarry(c.words, c.valueHigh >>> 31, (c.valueHigh >>> 31) ^ (c.valueHigh >>> 30));
    return result;
  },
  isRotate: true,
};

/** One bit after the other: rcl and rcr are rare, and CF in the middle makes them awkward otherwise. */
export const RCL: ShiftOp = {
  narrow: (r, a, count, bits) => {
    let cf = getCF(r);
    let value = a;
    for (let i = count % (bits + 1); i > 0; i--) {
      const out = (value >>> (bits - 1)) & 1;
      value = (value << 1) | cf;
      cf = out;
    }
    setCarry(r, cf, cf ^ (value >>> (bits - 1)));
    return value;
  },
  wide: (c, low, high, count) => {
    let cf = getCF(c.words);
    let l = low;
    let h = high;
    for (let i = count; i > 0; i--) {
      const out = h >>> 31;
      h = (h << 1) | (l >>> 31);
      l = (l << 1) | cf;
      cf = out;
    }
    setCarry(c.words, cf, cf ^ (h >>> 31));
    c.valueHigh = h;
    return l;
  },
  isRotate: true,
};

export const RCR: ShiftOp = {
  narrow: (r, a, count, bits) => {
    let cf = getCF(r);
    let value = a;
    for (let i = count % (bits + 1); i > 0; i--) {
      const out = value & 1;
      value = (value >>> 1) | (cf << (bits - 1));
      cf = out;
    }
    setCarry(r, cf, (value >>> (bits - 1)) ^ (value >>> (bits - 2)));
    return value;
  },
  wide: (c, low, high, count) => {
    let cf = getCF(c.words);
    let l = low;
    let h = high;
    for (let i = count; i > 0; i--) {
      const out = l & 1;
      l = (l >>> 1) | (h << 31);
      h = (h >>> 1) | (cf << 31);
      cf = out;
    }
    setCarry(c.words, cf, (h >>> 31) ^ (h >>> 30));
    c.valueHigh = h;
    return l;
  },
  isRotate: true,
};
