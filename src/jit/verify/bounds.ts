import {
  isConst,
  s64,
  TNUM_UNKNOWN,
  type Tnum,
  tnumClearSubreg,
  tnumConst,
  tnumIntersect,
  tnumOr,
  tnumRange,
  tnumSubreg,
  U64_MAX,
  u64,
} from './tnum.ts';

export const S64_MIN = -0x8000_0000_0000_0000n;
export const S64_MAX = 0x7fff_ffff_ffff_ffffn;
export const S32_MIN = -0x8000_0000;
export const S32_MAX = 0x7fff_ffff;
export const U32_MAX = 0xffff_ffff;

/**
 * What is known of a number: its bits, and its least and greatest value read as signed and as unsigned, of all 64 bits and of the low 32
 * (struct bpf_reg_state, include/linux/bpf_verifier.h, 6.12). Both ends belong to it.
 */
export interface Bounds {
  tnum: Tnum;
  smin: bigint;
  smax: bigint;
  umin: bigint;
  umax: bigint;
  s32min: number;
  s32max: number;
  u32min: number;
  u32max: number;
}

export const bigMax = (a: bigint, b: bigint): bigint => (a > b ? a : b);
export const bigMin = (a: bigint, b: bigint): bigint => (a < b ? a : b);
/** The low 32 bits, signed and unsigned. */
export const low32s = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const low32u = (value: bigint): number => Number(BigInt.asUintN(32, value));

export function unbound32(b: Bounds): void {
  b.s32min = S32_MIN;
  b.s32max = S32_MAX;
  b.u32min = 0;
  b.u32max = U32_MAX;
}

export function unbound64(b: Bounds): void {
  b.smin = S64_MIN;
  b.smax = S64_MAX;
  b.umin = 0n;
  b.umax = U64_MAX;
}

export function unbound(b: Bounds): void {
  unbound64(b);
  unbound32(b);
}

export function setUnknown(b: Bounds): void {
  b.tnum = TNUM_UNKNOWN;
  unbound(b);
}

/** All of it is `value`, cut to 64 bits. */
export function setKnown(b: Bounds, value: bigint): void {
  b.tnum = tnumConst(value);
  b.smin = b.smax = s64(value);
  b.umin = b.umax = u64(value);
  setKnown32Bounds(b, value);
}

function setKnown32Bounds(b: Bounds, value: bigint): void {
  b.s32min = b.s32max = low32s(value);
  b.u32min = b.u32max = low32u(value);
}

/** Its low half is that of `value` (__mark_reg32_known, 6.12). */
export function setKnown32(b: Bounds, value: bigint): void {
  b.tnum = tnumOr(tnumClearSubreg(b.tnum), tnumConst(BigInt.asUintN(32, value)));
  setKnown32Bounds(b, value);
}

/** From the bits of the low half to its bounds (__update_reg32_bounds, 6.12). */
export function update32(b: Bounds): void {
  const value = low32u(b.tnum.value);
  const mask = low32u(b.tnum.mask);
  b.s32min = Math.max(b.s32min, value | (mask & S32_MIN));
  b.s32max = Math.min(b.s32max, value | (mask & S32_MAX));
  b.u32min = Math.max(b.u32min, value);
  b.u32max = Math.min(b.u32max, (value | mask) >>> 0);
}

function update64(b: Bounds): void {
  const { value, mask } = b.tnum;
  b.smin = bigMax(b.smin, s64(value | (mask & 0x8000_0000_0000_0000n)));
  b.smax = bigMin(b.smax, s64(value | (mask & 0x7fff_ffff_ffff_ffffn)));
  b.umin = bigMax(b.umin, value);
  b.umax = bigMin(b.umax, value | mask);
}

/** From the bits to the bounds. */
export function updateBounds(b: Bounds): void {
  update32(b);
  update64(b);
}

/** 64-bit bounds that do not cross a multiple of 2^32 bound the low half, and so do those that cross one where it changes its sign. */
function deduce32From64(b: Bounds): void {
  const [uminHigh, umaxHigh, sminHigh, smaxHigh] = [b.umin >> 32n, b.umax >> 32n, b.smin >> 32n, b.smax >> 32n];
  const [ulow, uhigh, slow, shigh] = [low32s(b.umin), low32s(b.umax), low32s(b.smin), low32s(b.smax)];
  if (uminHigh === umaxHigh) {
    b.u32min = Math.max(b.u32min, ulow >>> 0);
    b.u32max = Math.min(b.u32max, uhigh >>> 0);
    if (ulow <= uhigh) narrowS32(b, ulow, uhigh);
  }
  if (sminHigh === smaxHigh) {
    if (slow >>> 0 <= shigh >>> 0) {
      b.u32min = Math.max(b.u32min, slow >>> 0);
      b.u32max = Math.min(b.u32max, shigh >>> 0);
    }
    if (slow <= shigh) narrowS32(b, slow, shigh);
  }
  if (BigInt.asUintN(32, uminHigh + 1n) === umaxHigh && ulow < 0 && uhigh >= 0) narrowS32(b, ulow, uhigh);
  if (BigInt.asUintN(32, sminHigh + 1n) === BigInt.asUintN(32, smaxHigh) && slow < 0 && shigh >= 0)
    narrowS32(b, slow, shigh);
}

function narrowS32(b: Bounds, min: number, max: number): void {
  b.s32min = Math.max(b.s32min, min);
  b.s32max = Math.min(b.s32max, max);
}

/** Signed and unsigned bounds of the low half, from each other. */
function deduce32(b: Bounds): void {
  deduce32From64(b);
  if ((b.u32min | 0) <= (b.u32max | 0)) narrowS32(b, b.u32min | 0, b.u32max | 0);
  if (b.s32min >>> 0 <= b.s32max >>> 0) {
    b.u32min = Math.max(b.s32min >>> 0, b.u32min);
    b.u32max = Math.min(b.s32max >>> 0, b.u32max);
  } else if (b.u32max < b.s32min >>> 0) {
    b.s32min = b.u32min | 0;
    b.u32max = Math.min(b.u32max, b.s32max >>> 0);
  } else if (b.s32max >>> 0 < b.u32min) {
    b.s32max = b.u32max | 0;
    b.u32min = Math.max(b.u32min, b.s32min >>> 0);
  }
}

function deduce64(b: Bounds): void {
  if (s64(b.umin) <= s64(b.umax)) {
    b.smin = bigMax(b.smin, s64(b.umin));
    b.smax = bigMin(b.smax, s64(b.umax));
  }
  if (u64(b.smin) <= u64(b.smax)) {
    b.umin = bigMax(u64(b.smin), b.umin);
    b.umax = bigMin(u64(b.smax), b.umax);
  } else if (b.umax < u64(b.smin)) {
    b.smin = s64(b.umin);
    b.umax = bigMin(b.umax, u64(b.smax));
  } else if (u64(b.smax) < b.umin) {
    b.smax = s64(b.umax);
    b.umin = bigMax(b.umin, u64(b.smin));
  }
}

const withLow = (value: bigint, low: number): bigint => u64((value & ~0xffff_ffffn) | BigInt(low));

function narrowWith(b: Bounds, min: number, max: number): void {
  b.umin = bigMax(b.umin, withLow(b.umin, min));
  b.umax = bigMin(b.umax, withLow(b.umax, max));
  b.smin = bigMax(b.smin, s64(withLow(b.smin, min)));
  b.smax = bigMin(b.smax, s64(withLow(b.smax, max)));
}

/** Bounds of the low half narrow those of the whole. */
function deduceMixed(b: Bounds): void {
  narrowWith(b, b.u32min, b.u32max);
  if (b.s32min >>> 0 <= b.s32max >>> 0) narrowWith(b, b.s32min >>> 0, b.s32max >>> 0);
  if (b.s32min >= 0 && b.smin >= BigInt(S32_MIN) && b.smax <= BigInt(S32_MAX)) {
    b.smin = b.umin = BigInt(b.s32min);
    b.smax = b.umax = BigInt(b.s32max);
    b.tnum = tnumIntersect(b.tnum, tnumRange(u64(b.smin), u64(b.smax)));
  }
}

/** From the bounds to the bits. */
function boundOffset(b: Bounds): void {
  const wide = tnumIntersect(b.tnum, tnumRange(b.umin, b.umax));
  const low = tnumIntersect(tnumSubreg(wide), tnumRange(BigInt(b.u32min), BigInt(b.u32max)));
  b.tnum = tnumOr(tnumClearSubreg(wide), low);
}

/** Makes bits and bounds tell each other all they know (reg_bounds_sync, 6.12). */
export function syncBounds(b: Bounds): void {
  updateBounds(b);
  for (let round = 0; round < 3; round++) {
    deduce32(b);
    deduce64(b);
    deduceMixed(b);
  }
  boundOffset(b);
  updateBounds(b);
}

/** What is wrong with bounds that no number can have (reg_bounds_sanity_check, 6.12); undefined when nothing is. */
export function boundsProblem(b: Bounds): string | undefined {
  if (b.umin > b.umax || b.smin > b.smax || b.u32min > b.u32max || b.s32min > b.s32max) return 'range bounds violation';
  const { value } = b.tnum;
  if (isConst(b.tnum) && (b.umin !== value || b.umax !== value || b.smin !== s64(value) || b.smax !== s64(value)))
    return 'const tnum out of sync with range bounds';
  const low = low32s(value);
  if (
    isConst(tnumSubreg(b.tnum)) &&
    (b.u32min !== low >>> 0 || b.u32max !== low >>> 0 || b.s32min !== low || b.s32max !== low)
  )
    return 'const subreg tnum out of sync with range bounds';
  return undefined;
}

/** The 32-bit bounds as those of the whole: of a value whose upper half is 0 (__reg_assign_32_into_64, 6.12). */
function assign32Into64(b: Bounds): void {
  b.umin = BigInt(b.u32min);
  b.umax = BigInt(b.u32max);
  const isPositive = b.s32min >= 0 && b.s32max >= 0;
  b.smin = isPositive ? BigInt(b.s32min) : 0n;
  b.smax = isPositive ? BigInt(b.s32max) : BigInt(U32_MAX);
}

/** Clears the upper half. */
export function zeroExtend32(b: Bounds): void {
  b.tnum = tnumSubreg(b.tnum);
  assign32Into64(b);
}

/** Whether every value that `inner` can have is within the bounds of `outer`. */
export const rangeWithin = (outer: Readonly<Bounds>, inner: Readonly<Bounds>): boolean =>
  outer.umin <= inner.umin &&
  outer.umax >= inner.umax &&
  outer.smin <= inner.smin &&
  outer.smax >= inner.smax &&
  outer.u32min <= inner.u32min &&
  outer.u32max >= inner.u32max &&
  outer.s32min <= inner.s32min &&
  outer.s32max >= inner.s32max;
