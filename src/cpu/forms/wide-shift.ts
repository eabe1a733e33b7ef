import type { Cpu } from '../cpu.ts';

/** Shifts of a pair of words by 0 to 63: the low word is returned, the high one is left in `cpu.valueHigh`. */
export function shiftLeft(c: Cpu, low: number, high: number, count: number): number {
  if (count >= 32) {
    c.valueHigh = low << (count - 32);
    return 0;
  }
  c.valueHigh = count === 0 ? high : (high << count) | (low >>> (32 - count));
  return low << count;
}

export function shiftRight(c: Cpu, low: number, high: number, count: number): number {
  if (count >= 32) {
    c.valueHigh = 0;
    return (high >>> (count - 32)) | 0;
  }
  c.valueHigh = (high >>> count) | 0;
  return count === 0 ? low : (low >>> count) | (high << (32 - count));
}

export function shiftRightSigned(c: Cpu, low: number, high: number, count: number): number {
  if (count >= 32) {
    c.valueHigh = high >> 31;
    return high >> (count - 32);
  }
  c.valueHigh = high >> count;
  return count === 0 ? low : (low >>> count) | (high << (32 - count));
}

export function rotateLeft(c: Cpu, low: number, high: number, count: number): number {
  const n = count & 31;
  const [a, b] = (count & 32) === 0 ? [low, high] : [high, low];
  c.valueHigh = n === 0 ? b : (b << n) | (a >>> (32 - n));
  return n === 0 ? a : (a << n) | (b >>> (32 - n));
}

/** Bit `n` (0 to 63). */
export const bitOf = (low: number, high: number, n: number): number => ((n < 32 ? low : high) >>> (n & 31)) & 1;
