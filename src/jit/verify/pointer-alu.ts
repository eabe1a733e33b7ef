import type { AluOp, SignedOp, Width } from '../bpf/index.ts';
import { operatorText } from './alu.ts';
import { S64_MAX, S64_MIN, syncBounds, unbound32 } from './bounds.ts';
import type { Env } from './env.ts';
import { BPF_MAX_VAR_OFF, copyReg, mayBeNull, type Reg, type RegDraft, typeOf, UNKNOWN } from './reg.ts';
import { isConst, s64, tnumAdd, tnumSub, U64_MAX } from './tnum.ts';

export interface PointerOperation {
  readonly op: AluOp | SignedOp;
  readonly width: Width;
  readonly dst: number;
}

/** Pointers stay within half a gigabyte of what they point to (check_reg_sane_offset). */
function checkSane(env: Env, reg: Reg, name: string): void {
  const value = s64(reg.tnum.value);
  if (isConst(reg.tnum) && (value >= BPF_MAX_VAR_OFF || value <= -BPF_MAX_VAR_OFF))
    env.reject('EINVAL', `math between ${name} pointer and ${value} is not allowed`);
  if (BigInt(reg.off) >= BPF_MAX_VAR_OFF || BigInt(reg.off) <= -BPF_MAX_VAR_OFF)
    env.reject('EINVAL', `${name} pointer offset ${reg.off} is not allowed`);
  if (reg.smin === S64_MIN)
    env.reject('EINVAL', `math between ${name} pointer and register with unbounded min value is not allowed`);
  if (reg.smin >= BPF_MAX_VAR_OFF || reg.smin <= -BPF_MAX_VAR_OFF)
    env.reject('EINVAL', `value ${reg.smin} makes ${name} pointer be out of bounds`);
}

const fits32 = (value: bigint): boolean => value === BigInt.asIntN(32, value);
const fitsSigned = (value: bigint): boolean => value >= S64_MIN && value <= S64_MAX;

function add(draft: RegDraft, pointer: Reg, offset: Reg, isKnown: boolean): void {
  const sum = BigInt(pointer.off) + offset.smin;
  if (isKnown && fits32(sum)) {
    draft.off = Number(sum);
    return;
  }
  const [smin, smax] = [pointer.smin + offset.smin, pointer.smax + offset.smax];
  const isSigned = fitsSigned(smin) && fitsSigned(smax);
  draft.smin = isSigned ? smin : S64_MIN;
  draft.smax = isSigned ? smax : S64_MAX;
  const umax = pointer.umax + offset.umax;
  draft.umin = umax <= U64_MAX ? pointer.umin + offset.umin : 0n;
  draft.umax = umax <= U64_MAX ? umax : U64_MAX;
  draft.tnum = tnumAdd(pointer.tnum, offset.tnum);
}

function subtract(draft: RegDraft, pointer: Reg, offset: Reg, isKnown: boolean): void {
  const difference = BigInt(pointer.off) - offset.smin;
  if (isKnown && fits32(difference)) {
    draft.off = Number(difference);
    return;
  }
  const [smin, smax] = [pointer.smin - offset.smax, pointer.smax - offset.smin];
  const isSigned = fitsSigned(smin) && fitsSigned(smax);
  draft.smin = isSigned ? smin : S64_MIN;
  draft.smax = isSigned ? smax : S64_MAX;
  const isPositive = pointer.umin >= offset.umax;
  draft.umin = isPositive ? pointer.umin - offset.umax : 0n;
  draft.umax = isPositive ? pointer.umax - offset.umin : U64_MAX;
  draft.tnum = tnumSub(pointer.tnum, offset.tnum);
}

function checkType(env: Env, { op, dst }: PointerOperation, pointer: Reg, offset: Reg, isKnown: boolean): void {
  const name = typeOf(pointer);
  if (mayBeNull(pointer)) env.reject('EACCES', `R${dst} pointer arithmetic on ${name} prohibited, null-check it first`);
  if (pointer.type === 'map_ptr' && !(isKnown && offset.smin === 0n && op === 'add'))
    env.reject('EACCES', `R${dst} pointer arithmetic on ${name} prohibited`);
}

/** A pointer and a number (adjust_ptr_min_max_vals): sums and differences that stay near what is pointed to. */
export function pointerAlu(
  env: Env,
  operation: PointerOperation,
  pointer: Reg,
  offset: Reg,
  isPointerFirst: boolean,
): void {
  const { op, width, dst } = operation;
  const isKnown = isConst(offset.tnum);
  const contradicts =
    (isKnown && (offset.smin !== offset.smax || offset.umin !== offset.umax)) ||
    offset.smin > offset.smax ||
    offset.umin > offset.umax;
  if (contradicts || (width === 32 && op === 'sub')) {
    env.setReg(dst, UNKNOWN);
    return;
  }
  if (width === 32) env.reject('EACCES', `R${dst} 32-bit pointer arithmetic prohibited`);
  checkType(env, operation, pointer, offset, isKnown);
  const name = typeOf(pointer);
  checkSane(env, offset, name);
  checkSane(env, pointer, name);
  const draft = copyReg(pointer);
  unbound32(draft);
  switch (op) {
    case 'add':
      add(draft, pointer, offset, isKnown);
      break;
    case 'sub':
      if (!isPointerFirst) env.reject('EACCES', `R${dst} tried to subtract pointer from scalar`);
      if (pointer.type === 'fp') env.reject('EACCES', `R${dst} subtraction from stack pointer prohibited`);
      subtract(draft, pointer, offset, isKnown);
      break;
    case 'and':
    case 'or':
    case 'xor':
      env.reject('EACCES', `R${dst} bitwise operator ${operatorText(op)} on pointer prohibited`);
      break;
    default:
      env.reject('EACCES', `R${dst} pointer arithmetic with ${operatorText(op)} operator prohibited`);
  }
  checkSane(env, draft, name);
  syncBounds(draft);
  env.setReg(dst, draft);
}
