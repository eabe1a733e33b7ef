/**
 * Numbers of which some bits are known (struct tnum, kernel/bpf/tnum.c, 6.12): a bit set in `mask` is unknown and clear in `value`. Both are
 * unsigned 64 bits. Each operation answers a number that has every value that the operation can give.
 */
export interface Tnum {
  readonly value: bigint;
  readonly mask: bigint;
}

export const U64_MAX = 0xffff_ffff_ffff_ffffn;
const LOW32 = 0xffff_ffffn;
const HIGH32 = 0xffff_ffff_0000_0000n;

export const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
export const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);

const tnum = (value: bigint, mask: bigint): Tnum => ({ value, mask });

export const TNUM_UNKNOWN: Tnum = tnum(0n, U64_MAX);
const TNUM_ZERO: Tnum = tnum(0n, 0n);

export const tnumConst = (value: bigint): Tnum => tnum(u64(value), 0n);
export const isConst = ({ mask }: Tnum): boolean => mask === 0n;
export const isUnknown = ({ mask }: Tnum): boolean => mask === U64_MAX;

/** The bits that all of [min, max], unsigned, have in common. */
export function tnumRange(min: bigint, max: bigint): Tnum {
  const differing = min ^ max;
  if (differing === 0n) return tnum(min, 0n);
  if (differing >> 63n !== 0n) return TNUM_UNKNOWN;
  const below = (1n << BigInt(differing.toString(2).length)) - 1n;
  return tnum(u64(min & ~below), below);
}

export const tnumLsh = (a: Tnum, shift: bigint): Tnum => tnum(u64(a.value << shift), u64(a.mask << shift));
export const tnumRsh = (a: Tnum, shift: bigint): Tnum => tnum(a.value >> shift, a.mask >> shift);

/** Arithmetic shift at a width; an unknown sign bit makes unknown bits. A 32-bit one has its upper half 0. */
export const tnumArsh = (a: Tnum, shift: bigint, width: 32 | 64): Tnum =>
  tnum(
    BigInt.asUintN(width, BigInt.asIntN(width, a.value) >> shift),
    BigInt.asUintN(width, BigInt.asIntN(width, a.mask) >> shift),
  );

export function tnumAdd(a: Tnum, b: Tnum): Tnum {
  const values = a.value + b.value;
  // What differs between the least and the greatest sum is where a carry may or may not arrive.
  const carries = (values + a.mask + b.mask) ^ values;
  const mask = u64(carries | a.mask | b.mask);
  return tnum(u64(values & ~mask), mask);
}

export function tnumSub(a: Tnum, b: Tnum): Tnum {
  const values = a.value - b.value;
  const borrows = (values + a.mask) ^ (values - b.mask);
  const mask = u64(borrows | a.mask | b.mask);
  return tnum(u64(values & ~mask), mask);
}

export function tnumAnd(a: Tnum, b: Tnum): Tnum {
  const value = a.value & b.value;
  return tnum(value, (a.value | a.mask) & (b.value | b.mask) & ~value);
}

export function tnumOr(a: Tnum, b: Tnum): Tnum {
  const value = a.value | b.value;
  return tnum(value, (a.mask | b.mask) & ~value);
}

export function tnumXor(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask | b.mask;
  return tnum((a.value ^ b.value) & ~mask, mask);
}

/** Long multiplication: the known product, and the uncertain partial products as unknown bits. */
export function tnumMul(a: Tnum, b: Tnum): Tnum {
  let uncertain = TNUM_ZERO;
  for (let x = a, y = b; x.value !== 0n || x.mask !== 0n; x = tnumRsh(x, 1n), y = tnumLsh(y, 1n)) {
    if ((x.value & 1n) !== 0n) uncertain = tnumAdd(uncertain, tnum(0n, y.mask));
    else if ((x.mask & 1n) !== 0n) uncertain = tnumAdd(uncertain, tnum(0n, y.value | y.mask));
  }
  return tnumAdd(tnumConst(a.value * b.value), uncertain);
}

/** What is known when both are known of one number. */
export function tnumIntersect(a: Tnum, b: Tnum): Tnum {
  const mask = a.mask & b.mask;
  return tnum((a.value | b.value) & ~mask, mask);
}

/** Whether some number is one of both. */
export const tnumOverlap = (a: Tnum, b: Tnum): boolean => ((a.value ^ b.value) & ~a.mask & ~b.mask) === 0n;

/** Whether every number of `b` is one of `a`. */
export const tnumIn = (a: Tnum, b: Tnum): boolean => (b.mask & ~a.mask) === 0n && (b.value & ~a.mask) === a.value;

/** The low bytes, the rest 0. */
export const tnumCast = (a: Tnum, bytes: number): Tnum =>
  tnum(BigInt.asUintN(8 * bytes, a.value), BigInt.asUintN(8 * bytes, a.mask));

export const tnumSubreg = (a: Tnum): Tnum => tnum(a.value & LOW32, a.mask & LOW32);
export const tnumClearSubreg = (a: Tnum): Tnum => tnum(a.value & HIGH32, a.mask & HIGH32);
export const tnumWithSubreg = (a: Tnum, low: Tnum): Tnum =>
  tnum((a.value & HIGH32) | (low.value & LOW32), (a.mask & HIGH32) | (low.mask & LOW32));

export const isAligned = ({ value, mask }: Tnum, size: number): boolean => ((value | mask) & BigInt(size - 1)) === 0n;
