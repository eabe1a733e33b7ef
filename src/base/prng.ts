import { randomBytes } from 'node:crypto';

/** Randomness, passed in. */
export interface Prng {
  /** An integer in [0, 2^32). */
  u32(): number;
  /** An integer in [0, bound). */
  below(bound: number): number;
}

const prng = (u32: () => number): Prng => ({ u32, below: (bound) => Math.floor((u32() / 0x1_0000_0000) * bound) });

/** Deterministic (mulberry32): the same seed gives the same sequence. */
export function seededPrng(seed: number): Prng {
  let state = seed >>> 0;
  return prng(() => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  });
}

export const systemPrng: Prng = prng(() => randomBytes(4).readUInt32LE(0));
