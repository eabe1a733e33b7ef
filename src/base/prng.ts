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

/** Random bytes are asked of the system a page at a time: a call for each number took more than a request's own work. */
const POOL_BYTES = 4096;

function pooled(): () => number {
  let pool = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at + 4 > pool.length) {
      pool = randomBytes(POOL_BYTES);
      at = 0;
    }
    at += 4;
    return pool.readUInt32LE(at - 4);
  };
}

export const systemPrng: Prng = prng(pooled());
