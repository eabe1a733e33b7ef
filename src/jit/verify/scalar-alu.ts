import type { AluOp, SignedOp, Width } from '../bpf/index.ts';
import {
  type Bounds,
  bigMax,
  bigMin,
  S32_MAX,
  S32_MIN,
  S64_MAX,
  S64_MIN,
  setKnown,
  setKnown32,
  setUnknown,
  syncBounds,
  U32_MAX,
  unbound32,
  unbound64,
  update32,
  updateBounds,
  zeroExtend32,
} from './bounds.ts';
import {
  isConst,
  s64,
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumLsh,
  tnumMul,
  tnumOr,
  tnumRsh,
  tnumSub,
  tnumSubreg,
  tnumXor,
  U64_MAX,
  u64,
} from './tnum.ts';

const U16_MAX = 0xffff;
const fitsS64 = (value: bigint): boolean => value >= S64_MIN && value <= S64_MAX;
const fitsS32 = (value: number): boolean => value >= S32_MIN && value <= S32_MAX;

/** Bounds of a sum or a difference: lost as soon as one end overflows. */
function setSum64(d: Bounds, smin: bigint, smax: bigint, umin: bigint, umax: bigint): void {
  const isSigned = fitsS64(smin) && fitsS64(smax);
  d.smin = isSigned ? smin : S64_MIN;
  d.smax = isSigned ? smax : S64_MAX;
  const isUnsigned = umin >= 0n && umax >= 0n && umin <= U64_MAX && umax <= U64_MAX;
  d.umin = isUnsigned ? umin : 0n;
  d.umax = isUnsigned ? umax : U64_MAX;
}

function setSum32(d: Bounds, smin: number, smax: number, umin: number, umax: number): void {
  const isSigned = fitsS32(smin) && fitsS32(smax);
  d.s32min = isSigned ? smin : S32_MIN;
  d.s32max = isSigned ? smax : S32_MAX;
  const isUnsigned = umin >= 0 && umax >= 0 && umin <= U32_MAX && umax <= U32_MAX;
  d.u32min = isUnsigned ? umin : 0;
  d.u32max = isUnsigned ? umax : U32_MAX;
}

/** Adds to bounds and bits, which are not made to agree yet. */
export function addBounds(d: Bounds, s: Readonly<Bounds>): void {
  setSum32(d, d.s32min + s.s32min, d.s32max + s.s32max, d.u32min + s.u32min, d.u32max + s.u32max);
  setSum64(d, d.smin + s.smin, d.smax + s.smax, d.umin + s.umin, d.umax + s.umax);
  d.tnum = tnumAdd(d.tnum, s.tnum);
}

export function subBounds(d: Bounds, s: Readonly<Bounds>): void {
  setSum32(d, d.s32min - s.s32max, d.s32max - s.s32min, d.u32min - s.u32max, d.u32max - s.u32min);
  setSum64(d, d.smin - s.smax, d.smax - s.smin, d.umin - s.umax, d.umax - s.umin);
  d.tnum = tnumSub(d.tnum, s.tnum);
}

function mul(d: Bounds, s: Readonly<Bounds>): void {
  d.tnum = tnumMul(d.tnum, s.tnum);
  if (s.s32min < 0 || d.s32min < 0 || s.u32max > U16_MAX || d.u32max > U16_MAX) unbound32(d);
  else {
    d.u32min *= s.u32min;
    d.u32max *= s.u32max;
    const isPositive = d.u32max <= S32_MAX;
    d.s32min = isPositive ? d.u32min : S32_MIN;
    d.s32max = isPositive ? d.u32max : S32_MAX;
  }
  if (s.smin < 0n || d.smin < 0n || s.umax > BigInt(U32_MAX) || d.umax > BigInt(U32_MAX)) unbound64(d);
  else {
    d.umin *= s.umin;
    d.umax *= s.umax;
    const isPositive = d.umax <= S64_MAX;
    d.smin = isPositive ? d.umin : S64_MIN;
    d.smax = isPositive ? d.umax : S64_MAX;
  }
}

/** Signed bounds from unsigned ones, when those do not cross the sign. */
function signFromUnsigned(d: Bounds): void {
  const isOrdered32 = (d.u32min | 0) <= (d.u32max | 0);
  d.s32min = isOrdered32 ? d.u32min | 0 : S32_MIN;
  d.s32max = isOrdered32 ? d.u32max | 0 : S32_MAX;
  const isOrdered64 = s64(d.umin) <= s64(d.umax);
  d.smin = isOrdered64 ? s64(d.umin) : S64_MIN;
  d.smax = isOrdered64 ? s64(d.umax) : S64_MAX;
}

const low = (value: bigint): number => Number(value & 0xffff_ffffn);

/** `and`, `or` and `xor`: the bits say most. */
function bitwise(op: 'and' | 'or' | 'xor', d: Bounds, s: Readonly<Bounds>): void {
  const isKnown32 = isConst(tnumSubreg(s.tnum)) && isConst(tnumSubreg(d.tnum));
  const isKnown = isConst(s.tnum) && isConst(d.tnum);
  const combine = { and: tnumAnd, or: tnumOr, xor: tnumXor }[op];
  d.tnum = combine(d.tnum, s.tnum);
  const { value, mask } = d.tnum;
  const least32 = low(value);
  const greatest32 = low(value | mask);
  d.u32min = op === 'or' ? Math.max(d.u32min, s.u32min) : least32;
  d.u32max = op === 'and' ? Math.min(d.u32max, s.u32max) : greatest32;
  d.umin = op === 'or' ? bigMax(d.umin, s.umin) : value;
  d.umax = op === 'and' ? bigMin(d.umax, s.umax) : value | mask;
  signFromUnsigned(d);
  if (isKnown32) setKnown32(d, value);
  if (isKnown) setKnown(d, value);
  else updateBounds(d);
}

function lsh32Bounds(d: Bounds, shift: number): void {
  d.s32min = S32_MIN;
  d.s32max = S32_MAX;
  if (shift > 31 || d.u32max > 2 ** (31 - shift)) {
    d.u32min = 0;
    d.u32max = U32_MAX;
  } else {
    d.u32min = (d.u32min << shift) >>> 0;
    d.u32max = (d.u32max << shift) >>> 0;
  }
}

function lsh(d: Bounds, shift: number, width: Width): void {
  const by = BigInt(shift);
  if (width === 32) {
    lsh32Bounds(d, shift);
    d.tnum = tnumSubreg(tnumLsh(tnumSubreg(d.tnum), by));
    unbound64(d);
    update32(d);
    return;
  }
  // A shift by 32, as compilers write sign extension, keeps the signed bounds of the low half.
  d.smax = shift === 32 ? BigInt(d.s32max) << 32n : S64_MAX;
  d.smin = shift === 32 ? BigInt(d.s32min) << 32n : S64_MIN;
  const fits = d.umax <= 1n << (63n - by);
  d.umin = fits ? u64(d.umin << by) : 0n;
  d.umax = fits ? u64(d.umax << by) : U64_MAX;
  lsh32Bounds(d, shift);
  d.tnum = tnumLsh(d.tnum, by);
  updateBounds(d);
}

function rsh(d: Bounds, shift: number, width: Width): void {
  const by = BigInt(shift);
  if (width === 32) {
    d.s32min = S32_MIN;
    d.s32max = S32_MAX;
    d.tnum = tnumRsh(tnumSubreg(d.tnum), by);
    d.u32min >>>= shift;
    d.u32max >>>= shift;
    unbound64(d);
    update32(d);
    return;
  }
  d.smin = S64_MIN;
  d.smax = S64_MAX;
  d.tnum = tnumRsh(d.tnum, by);
  d.umin >>= by;
  d.umax >>= by;
  unbound32(d);
  updateBounds(d);
}

function arsh(d: Bounds, shift: number, width: Width): void {
  const by = BigInt(shift);
  if (width === 32) {
    d.s32min >>= shift;
    d.s32max >>= shift;
    d.tnum = tnumArsh(tnumSubreg(d.tnum), by, 32);
    d.u32min = 0;
    d.u32max = U32_MAX;
    unbound64(d);
    update32(d);
    return;
  }
  d.smin >>= by;
  d.smax >>= by;
  d.tnum = tnumArsh(d.tnum, by, 64);
  d.umin = 0n;
  d.umax = U64_MAX;
  unbound32(d);
  updateBounds(d);
}

/** Whether all that is known of a shift's count, as that width reads it, is one number below the width. */
function isUsableShift(s: Readonly<Bounds>, width: Width): boolean {
  const isKnown =
    width === 32
      ? isConst(tnumSubreg(s.tnum)) && s.s32min === s.s32max && s.u32min === s.u32max
      : isConst(s.tnum) && s.smin === s.smax && s.umin === s.umax;
  return isKnown && s.umax < BigInt(width);
}

/**
 * What is known of `d op s`, put into `d` (adjust_scalar_min_max_vals, kernel/bpf/verifier.c, 6.12). Nothing is known of a quotient, a
 * remainder, or a shift by a number that is not known.
 */
export function scalarAlu(op: AluOp | SignedOp, width: Width, d: Bounds, s: Readonly<Bounds>): void {
  switch (op) {
    case 'add':
      addBounds(d, s);
      break;
    case 'sub':
      subBounds(d, s);
      break;
    case 'mul':
      mul(d, s);
      break;
    case 'and':
    case 'or':
    case 'xor':
      bitwise(op, d, s);
      break;
    case 'lsh':
    case 'rsh':
    case 'arsh':
      if (!isUsableShift(s, width)) {
        setUnknown(d);
        return;
      }
      ({ lsh, rsh, arsh })[op](d, width === 32 ? s.u32min : Number(s.umin), width);
      break;
    default:
      setUnknown(d);
      return;
  }
  if (width === 32) zeroExtend32(d);
  syncBounds(d);
}
