import { type Bounds, S32_MAX, S32_MIN, syncBounds, U32_MAX, unbound32 } from './bounds.ts';
import { isConst, s64, TNUM_UNKNOWN, tnumCast, tnumConst, tnumRange, tnumSubreg, U64_MAX, u64 } from './tnum.ts';

/** What is left of a number that is cut to its low bytes and zero-extended: a load of 1, 2 or 4 bytes (coerce_reg_to_size, 6.12). */
export function coerceToSize(b: Bounds, size: 1 | 2 | 4): void {
  b.tnum = tnumCast(b.tnum, size);
  const mask = (1n << BigInt(size * 8)) - 1n;
  if ((b.umin & ~mask) === (b.umax & ~mask)) {
    b.umin &= mask;
    b.umax &= mask;
  } else {
    b.umin = 0n;
    b.umax = mask;
  }
  b.smin = b.umin;
  b.smax = b.umax;
  if (size < 4) unbound32(b);
  syncBounds(b);
}

/** The same, sign-extended to 64 bits (coerce_reg_to_size_sx, 6.12). */
export function coerceToSizeSigned(b: Bounds, size: 1 | 2 | 4): void {
  const bits = size * 8;
  const cut = (value: bigint): bigint => BigInt.asIntN(bits, value);
  if (isConst(b.tnum)) {
    setSigned(b, cut(b.tnum.value), cut(b.tnum.value));
    b.tnum = tnumConst(b.smin);
    return;
  }
  const [first, last] = [cut(b.smin), cut(b.smax)];
  const [min, max] = first < last ? [first, last] : [last, first];
  const isOneRun = u64(b.smin) >> BigInt(bits) === u64(b.smax) >> BigInt(bits);
  if (isOneRun && min >= 0n === max >= 0n) {
    setSigned(b, min, max);
    b.tnum = tnumRange(u64(min), u64(max));
    return;
  }
  b.smin = -(1n << BigInt(bits - 1));
  b.smax = (1n << BigInt(bits - 1)) - 1n;
  b.s32min = size === 4 ? S32_MIN : Number(b.smin);
  b.s32max = size === 4 ? S32_MAX : Number(b.smax);
  b.umin = 0n;
  b.u32min = 0;
  b.umax = U64_MAX;
  b.u32max = U32_MAX;
  b.tnum = TNUM_UNKNOWN;
}

/** Bounds of a run that does not change its sign. */
function setSigned(b: Bounds, min: bigint, max: bigint): void {
  b.smin = s64(min);
  b.smax = s64(max);
  b.umin = u64(min);
  b.umax = u64(max);
  setSigned32(b, Number(BigInt.asIntN(32, min)), Number(BigInt.asIntN(32, max)));
}

function setSigned32(b: Bounds, min: number, max: number): void {
  b.s32min = min;
  b.s32max = max;
  b.u32min = min >>> 0;
  b.u32max = max >>> 0;
}

/** The low half, sign-extended to 32 bits from its low bytes (coerce_subreg_to_size_sx, 6.12); the upper half is for the caller to clear. */
export function coerceSubregToSizeSigned(b: Bounds, size: 1 | 2): void {
  const bits = size * 8;
  const cut = (value: number): number => (value << (32 - bits)) >> (32 - bits);
  if (isConst(b.tnum)) {
    const value = cut(Number(BigInt.asIntN(32, b.tnum.value)));
    b.tnum = tnumConst(BigInt(value));
    setSigned32(b, value, value);
    return;
  }
  const [first, last] = [cut(b.s32min), cut(b.s32max)];
  const [min, max] = first < last ? [first, last] : [last, first];
  if (b.s32min >> bits === b.s32max >> bits && min >= 0 === max >= 0) {
    setSigned32(b, min, max);
    b.tnum = tnumSubreg(tnumRange(u64(BigInt(min)), u64(BigInt(max))));
    return;
  }
  b.s32min = -(2 ** (bits - 1));
  b.s32max = 2 ** (bits - 1) - 1;
  b.u32min = 0;
  b.u32max = U32_MAX;
  b.tnum = tnumSubreg(TNUM_UNKNOWN);
}
