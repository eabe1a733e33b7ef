import type { JumpOp, Width } from '../bpf/index.ts';
import { type Bounds, bigMax, bigMin, low32s, low32u, unbound } from './bounds.ts';
import { constValue, isConstReg, isNotNull, isPointer, type Reg, type RegDraft } from './reg.ts';
import {
  isConst,
  s64,
  type Tnum,
  tnumAnd,
  tnumConst,
  tnumIntersect,
  tnumOr,
  tnumOverlap,
  tnumSubreg,
  tnumWithSubreg,
} from './tnum.ts';

/** What is known of one side at the width of the comparison. */
interface Side {
  readonly tnum: Tnum;
  readonly umin: bigint;
  readonly umax: bigint;
  readonly smin: bigint;
  readonly smax: bigint;
}

const sideOf = (b: Readonly<Bounds>, width: Width): Side =>
  width === 64
    ? b
    : {
        tnum: tnumSubreg(b.tnum),
        umin: BigInt(b.u32min),
        umax: BigInt(b.u32max),
        smin: BigInt(b.s32min),
        smax: BigInt(b.s32max),
      };

const apart = (a: Side, b: Side): boolean =>
  !tnumOverlap(a.tnum, b.tnum) || a.umin > b.umax || a.umax < b.umin || a.smin > b.smax || a.smax < b.smin;

/** Whether the two are equal, when that is known. */
function equality(left: Readonly<Bounds>, right: Readonly<Bounds>, width: Width): boolean | undefined {
  const [a, b] = [sideOf(left, width), sideOf(right, width)];
  if (isConst(a.tnum) && isConst(b.tnum)) return a.tnum.value === b.tnum.value;
  if (apart(a, b)) return false;
  if (width === 64) {
    const [lowA, lowB] = [sideOf(left, 32), sideOf(right, 32)];
    if (lowA.umin > lowB.umax || lowA.umax < lowB.umin || lowA.smin > lowB.smax || lowA.smax < lowB.smin) return false;
  }
  return undefined;
}

function hasBits(left: Reg, right: Reg, width: Width): boolean | undefined {
  const [value, constant] = isConstReg(right, width) ? [left, right] : [right, left];
  if (!isConstReg(constant, width)) return undefined;
  const { tnum } = sideOf(value, width);
  const bits = constValue(constant, width);
  if ((tnum.value & bits) !== 0n) return true;
  return ((tnum.value | tnum.mask) & bits) === 0n ? false : undefined;
}

/** `a` above `b`: known to be, known not to be. */
function above(amin: bigint, amax: bigint, bmin: bigint, bmax: bigint, orEqual: boolean): boolean | undefined {
  if (orEqual ? amin >= bmax : amin > bmax) return true;
  return (orEqual ? amax < bmin : amax <= bmin) ? false : undefined;
}

const not = (known: boolean | undefined): boolean | undefined => (known === undefined ? undefined : !known);

function ordering(op: JumpOp, a: Side, b: Side): boolean | undefined {
  switch (op) {
    case 'jgt':
      return above(a.umin, a.umax, b.umin, b.umax, false);
    case 'jge':
      return above(a.umin, a.umax, b.umin, b.umax, true);
    case 'jlt':
      return above(b.umin, b.umax, a.umin, a.umax, false);
    case 'jle':
      return above(b.umin, b.umax, a.umin, a.umax, true);
    case 'jsgt':
      return above(a.smin, a.smax, b.smin, b.smax, false);
    case 'jsge':
      return above(a.smin, a.smax, b.smin, b.smax, true);
    case 'jslt':
      return above(b.smin, b.smax, a.smin, a.smax, false);
    default:
      return above(b.smin, b.smax, a.smin, a.smax, true);
  }
}

function pointerOutcome(op: JumpOp, left: Reg, right: Reg, width: Width): boolean | undefined {
  if (width === 32) return undefined;
  const [pointer, constant] = isConstReg(right, 64) ? [left, right] : [right, left];
  if (!isConstReg(constant, 64) || constValue(constant, 64) !== 0n || !isNotNull(pointer)) return undefined;
  return op === 'jeq' ? false : op === 'jne' ? true : undefined;
}

/** Whether a comparison holds, when that is known on this path (is_branch_taken, kernel/bpf/verifier.c, 6.12). */
export function branchTaken(op: JumpOp, left: Reg, right: Reg, width: Width): boolean | undefined {
  if (isPointer(left) || isPointer(right)) return pointerOutcome(op, left, right, width);
  switch (op) {
    case 'jeq':
      return equality(left, right, width);
    case 'jne':
      return not(equality(left, right, width));
    case 'jset':
      return hasBits(left, right, width);
    default:
      return ordering(op, sideOf(left, width), sideOf(right, width));
  }
}

/** The comparison that holds when the other does not; `jnset` is no instruction. */
type Refinement = JumpOp | 'jnset';

const REVERSE: Readonly<Record<JumpOp, Refinement>> = {
  jeq: 'jne',
  jne: 'jeq',
  jset: 'jnset',
  jge: 'jlt',
  jgt: 'jle',
  jle: 'jgt',
  jlt: 'jge',
  jsge: 'jslt',
  jsgt: 'jsle',
  jsle: 'jsgt',
  jslt: 'jsge',
};

function refineEqual(a: Bounds, b: Bounds, width: Width): void {
  if (width === 32) {
    a.u32min = b.u32min = Math.max(a.u32min, b.u32min);
    a.u32max = b.u32max = Math.min(a.u32max, b.u32max);
    a.s32min = b.s32min = Math.max(a.s32min, b.s32min);
    a.s32max = b.s32max = Math.min(a.s32max, b.s32max);
    const low = tnumIntersect(tnumSubreg(a.tnum), tnumSubreg(b.tnum));
    a.tnum = tnumWithSubreg(a.tnum, low);
    b.tnum = tnumWithSubreg(b.tnum, low);
    return;
  }
  a.umin = b.umin = bigMax(a.umin, b.umin);
  a.umax = b.umax = bigMin(a.umax, b.umax);
  a.smin = b.smin = bigMax(a.smin, b.smin);
  a.smax = b.smax = bigMin(a.smax, b.smax);
  a.tnum = b.tnum = tnumIntersect(a.tnum, b.tnum);
}

/** Cuts an end that the value is known not to be. */
function refineUnequal(a: Bounds, value: bigint, width: Width): void {
  if (width === 32) {
    if (a.u32min === low32u(value)) a.u32min += 1;
    if (a.u32max === low32u(value)) a.u32max -= 1;
    if (a.s32min === low32s(value)) a.s32min += 1;
    if (a.s32max === low32s(value)) a.s32max -= 1;
    return;
  }
  if (a.umin === value) a.umin += 1n;
  if (a.umax === value) a.umax -= 1n;
  if (a.smin === s64(value)) a.smin += 1n;
  if (a.smax === s64(value)) a.smax -= 1n;
}

function refineBits(a: RegDraft, bits: bigint, width: Width, areSet: boolean): void {
  if (areSet && (bits & (bits - 1n)) !== 0n) return;
  if (areSet && bits === 0n) return;
  const change = (tnum: Tnum): Tnum => (areSet ? tnumOr(tnum, tnumConst(bits)) : tnumAnd(tnum, tnumConst(~bits)));
  if (!areSet) unbound(a);
  a.tnum = width === 32 ? tnumWithSubreg(a.tnum, change(tnumSubreg(a.tnum))) : change(a.tnum);
}

/** `a` at most `b`, or below it by one. */
function refineUnsigned(a: Bounds, b: Bounds, width: Width, gap: 0 | 1): void {
  if (width === 32) {
    a.u32max = Math.min(a.u32max, (b.u32max - gap) >>> 0);
    b.u32min = Math.max((a.u32min + gap) >>> 0, b.u32min);
    return;
  }
  a.umax = bigMin(a.umax, BigInt.asUintN(64, b.umax - BigInt(gap)));
  b.umin = bigMax(BigInt.asUintN(64, a.umin + BigInt(gap)), b.umin);
}

function refineSigned(a: Bounds, b: Bounds, width: Width, gap: 0 | 1): void {
  if (width === 32) {
    a.s32max = Math.min(a.s32max, (b.s32max - gap) | 0);
    b.s32min = Math.max((a.s32min + gap) | 0, b.s32min);
    return;
  }
  a.smax = bigMin(a.smax, s64(b.smax - BigInt(gap)));
  b.smin = bigMax(s64(a.smin + BigInt(gap)), b.smin);
}

/** What is known of both sides when the comparison holds (regs_refine_cond_op); bits and bounds are for the caller to bring together. */
function refine(op: Refinement, a: RegDraft, b: RegDraft, width: Width): void {
  const [value, constant] = isConstReg(b, width) ? [a, b] : [b, a];
  const hasConstant = isConstReg(constant, width);
  switch (op) {
    case 'jeq':
      refineEqual(a, b, width);
      return;
    case 'jne':
      if (hasConstant) refineUnequal(value, constValue(constant, width), width);
      return;
    case 'jset':
    case 'jnset':
      if (hasConstant) refineBits(value, constValue(constant, width), width, op === 'jset');
      return;
    case 'jle':
      refineUnsigned(a, b, width, 0);
      return;
    case 'jlt':
      refineUnsigned(a, b, width, 1);
      return;
    case 'jge':
      refineUnsigned(b, a, width, 0);
      return;
    case 'jgt':
      refineUnsigned(b, a, width, 1);
      return;
    case 'jsle':
      refineSigned(a, b, width, 0);
      return;
    case 'jslt':
      refineSigned(a, b, width, 1);
      return;
    case 'jsge':
      refineSigned(b, a, width, 0);
      return;
    case 'jsgt':
      refineSigned(b, a, width, 1);
      return;
  }
}

export const refineTaken = (op: JumpOp, a: RegDraft, b: RegDraft, width: Width): void => refine(op, a, b, width);
export const refineNotTaken = (op: JumpOp, a: RegDraft, b: RegDraft, width: Width): void =>
  refine(REVERSE[op], a, b, width);
