/**
 * What the arithmetic and logical instructions do with values, and the flags they leave. `narrow` works on 8, 16 and 32 bits: operands may have
 * anything above their size, `shift` (24, 16, 0) puts their sign at bit 31, the result is cut by the one who stores it. `wide` works on 64 bits
 * and leaves the high word in `cpu.valueHigh`. Every one sets the five words of flags (registers.ts) itself.
 */
import type { Cpu } from '../cpu.ts';
import { carryVector, getCF } from '../flags.ts';
import { FLAG_AUX, FLAG_CARRY, FLAG_PARITY, FLAG_SIGN, FLAG_ZERO } from '../registers.ts';

export interface AluOp {
  readonly narrow: (r: Int32Array, a: number, b: number, shift: number) => number;
  readonly wide: (c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number) => number;
  /** False for cmp and test. */
  readonly writes: boolean;
  readonly undefinedFlags?: string;
}

export interface UnaryOp {
  readonly narrow: (r: Int32Array, a: number, shift: number) => number;
  readonly wide: (c: Cpu, low: number, high: number) => number;
}

function addNarrow(r: Int32Array, a: number, b: number, shift: number): number {
  const sum = (a + b) | 0;
  r[FLAG_CARRY] = ((a & b) | ((a | b) & ~sum)) << shift;
  r[FLAG_ZERO] = r[FLAG_SIGN] = sum << shift;
  r[FLAG_PARITY] = sum;
  r[FLAG_AUX] = a ^ b ^ sum;
  return sum;
}

function addWide(c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const r = c.words;
  const low = (aLow + bLow) | 0;
  const high = (aHigh + bHigh + (((aLow & bLow) | ((aLow | bLow) & ~low)) >>> 31)) | 0;
  r[FLAG_CARRY] = (aHigh & bHigh) | ((aHigh | bHigh) & ~high);
  r[FLAG_ZERO] = low | high;
  r[FLAG_SIGN] = high;
  r[FLAG_PARITY] = low;
  r[FLAG_AUX] = aLow ^ bLow ^ low;
  c.valueHigh = high;
  return low;
}

function adcNarrow(r: Int32Array, a: number, b: number, shift: number): number {
  const sum = (a + b + getCF(r)) | 0;
  r[FLAG_CARRY] = ((a & b) | ((a | b) & ~sum)) << shift;
  r[FLAG_ZERO] = r[FLAG_SIGN] = sum << shift;
  r[FLAG_PARITY] = sum;
  r[FLAG_AUX] = a ^ b ^ sum;
  return sum;
}

function adcWide(c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const r = c.words;
  const low = (aLow + bLow + getCF(r)) | 0;
  const high = (aHigh + bHigh + (((aLow & bLow) | ((aLow | bLow) & ~low)) >>> 31)) | 0;
  r[FLAG_CARRY] = (aHigh & bHigh) | ((aHigh | bHigh) & ~high);
  r[FLAG_ZERO] = low | high;
  r[FLAG_SIGN] = high;
  r[FLAG_PARITY] = low;
  r[FLAG_AUX] = aLow ^ bLow ^ low;
  c.valueHigh = high;
  return low;
}

function subNarrow(r: Int32Array, a: number, b: number, shift: number): number {
  const difference = (a - b) | 0;
  r[FLAG_CARRY] = ((~a & b) | (~(a ^ b) & difference)) << shift;
  r[FLAG_ZERO] = r[FLAG_SIGN] = difference << shift;
  r[FLAG_PARITY] = difference;
  r[FLAG_AUX] = a ^ b ^ difference;
  return difference;
}

function subWide(c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const r = c.words;
  const low = (aLow - bLow) | 0;
  const high = (aHigh - bHigh - (((~aLow & bLow) | (~(aLow ^ bLow) & low)) >>> 31)) | 0;
  r[FLAG_CARRY] = (~aHigh & bHigh) | (~(aHigh ^ bHigh) & high);
  r[FLAG_ZERO] = low | high;
  r[FLAG_SIGN] = high;
  r[FLAG_PARITY] = low;
  r[FLAG_AUX] = aLow ^ bLow ^ low;
  c.valueHigh = high;
  return low;
}

function sbbNarrow(r: Int32Array, a: number, b: number, shift: number): number {
  const difference = (a - b - getCF(r)) | 0;
  r[FLAG_CARRY] = ((~a & b) | (~(a ^ b) & difference)) << shift;
  r[FLAG_ZERO] = r[FLAG_SIGN] = difference << shift;
  r[FLAG_PARITY] = difference;
  r[FLAG_AUX] = a ^ b ^ difference;
  return difference;
}

function sbbWide(c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const r = c.words;
  const low = (aLow - bLow - getCF(r)) | 0;
  const high = (aHigh - bHigh - (((~aLow & bLow) | (~(aLow ^ bLow) & low)) >>> 31)) | 0;
  r[FLAG_CARRY] = (~aHigh & bHigh) | (~(aHigh ^ bHigh) & high);
  r[FLAG_ZERO] = low | high;
  r[FLAG_SIGN] = high;
  r[FLAG_PARITY] = low;
  r[FLAG_AUX] = aLow ^ bLow ^ low;
  c.valueHigh = high;
  return low;
}

/** AF is undefined behind a logical instruction; it is cleared, as processors do. */
export function logicNarrow(r: Int32Array, result: number, shift: number): number {
  r[FLAG_CARRY] = 0;
  r[FLAG_ZERO] = r[FLAG_SIGN] = result << shift;
  r[FLAG_PARITY] = result;
  r[FLAG_AUX] = 0;
  return result;
}

export function logicWide(c: Cpu, low: number, high: number): number {
  const r = c.words;
  r[FLAG_CARRY] = 0;
  r[FLAG_ZERO] = low | high;
  r[FLAG_SIGN] = high;
  r[FLAG_PARITY] = low;
  r[FLAG_AUX] = 0;
  c.valueHigh = high;
  return low;
}

export const ADD: AluOp = { narrow: addNarrow, wide: addWide, writes: true };
export const ADC: AluOp = { narrow: adcNarrow, wide: adcWide, writes: true };
export const SUB: AluOp = { narrow: subNarrow, wide: subWide, writes: true };
export const SBB: AluOp = { narrow: sbbNarrow, wide: sbbWide, writes: true };
export const CMP: AluOp = { narrow: subNarrow, wide: subWide, writes: false };
export const AND: AluOp = {
  narrow: (r, a, b, shift) => logicNarrow(r, a & b, shift),
  wide: (c, aLow, aHigh, bLow, bHigh) => logicWide(c, aLow & bLow, aHigh & bHigh),
  writes: true,
  undefinedFlags: 'a',
};
export const TEST: AluOp = { ...AND, writes: false };
export const OR: AluOp = {
  narrow: (r, a, b, shift) => logicNarrow(r, a | b, shift),
  wide: (c, aLow, aHigh, bLow, bHigh) => logicWide(c, aLow | bLow, aHigh | bHigh),
  writes: true,
  undefinedFlags: 'a',
};
export const XOR: AluOp = {
  narrow: (r, a, b, shift) => logicNarrow(r, a ^ b, shift),
  wide: (c, aLow, aHigh, bLow, bHigh) => logicWide(c, aLow ^ bLow, aHigh ^ bHigh),
  writes: true,
  undefinedFlags: 'a',
};

/** Puts CF back to what it was: inc and dec do not touch it. */
function keepCarry(r: Int32Array, cf: number): void {
  const carries = r[FLAG_CARRY] ?? 0;
  r[FLAG_CARRY] = carryVector(cf, (carries ^ (carries << 1)) >>> 31);
}

export const INC: UnaryOp = {
  narrow: (r, a, shift) => {
    const cf = getCF(r);
    const result = addNarrow(r, a, 1, shift);
    keepCarry(r, cf);
    return result;
  },
  wide: (c, low, high) => {
    const cf = getCF(c.words);
    const result = addWide(c, low, high, 1, 0);
    keepCarry(c.words, cf);
    return result;
  },
};
export const DEC: UnaryOp = {
  narrow: (r, a, shift) => {
    const cf = getCF(r);
    const result = subNarrow(r, a, 1, shift);
    keepCarry(r, cf);
    return result;
  },
  wide: (c, low, high) => {
    const cf = getCF(c.words);
    const result = subWide(c, low, high, 1, 0);
    keepCarry(c.words, cf);
    return result;
  },
};
export const NOT: UnaryOp = {
  narrow: (_, a) => ~a,
  wide: (c, low, high) => {
    c.valueHigh = ~high;
    return ~low;
  },
};
export const NEG: UnaryOp = {
  narrow: (r, a, shift) => subNarrow(r, 0, a, shift),
  wide: (c, low, high) => subWide(c, 0, 0, low, high),
};
