import type { Insn, JumpOp, Width } from '../bpf/index.ts';
import { boundsProblem, syncBounds, unbound } from './bounds.ts';
import { branchTaken, refineNotTaken, refineTaken } from './comparison.ts';
import type { Env } from './env.ts';
import { collectLinked, syncLinked } from './linked-regs.ts';
import { markPrecise } from './precision.ts';
import { stateText } from './print-state.ts';
import { knownZeroScalar, releaseId } from './references.ts';
import { copyReg, isNotNull, isPointer, knownScalar, MAYBE_NULL, mayBeNull, type Reg } from './reg.ts';
import type { RegPlace, State } from './state.ts';

export interface Comparison {
  readonly op: JumpOp;
  readonly width: Width;
  readonly dst: number;
  /** Undefined: the immediate. */
  readonly src: number | undefined;
  readonly imm: number;
}

export function printState(env: Env): void {
  if (env.log.level > 0) env.log.state(env.insn, stateText(env, env.frame, false));
}

/** A pointer that turned out not to be null, or to be (mark_ptr_or_null_reg). */
function settleNull(reg: Reg, id: number, isNull: boolean): Reg {
  if (!mayBeNull(reg) || reg.id !== id) return reg;
  if (isNull) return knownZeroScalar();
  const draft = copyReg(reg);
  draft.flags &= ~MAYBE_NULL;
  // Which value's lock it is, tells the id.
  if (reg.map?.spinLock === undefined) draft.id = 0;
  return draft;
}

/** All copies of a pointer that was compared with null (mark_ptr_or_null_regs). */
function settleNulls(state: State, regno: number, isNull: boolean): void {
  const reg = state.current.reg(regno);
  if (isNull && reg.refObjId !== 0 && reg.refObjId === reg.id) releaseId(state.current, reg.id);
  const { id } = reg;
  state.replaceRegs((each) => settleNull(each, id, isNull));
}

/** What each side is on the path where the comparison holds, and on the one where it does not (reg_set_min_max). */
function refineBoth(env: Env, comparison: Comparison, other: State): void {
  const { op, width, dst, src, imm } = comparison;
  const left = env.reg(dst);
  const right = src === undefined ? knownScalar(BigInt(imm)) : env.reg(src);
  if (left.type !== 'scalar' || right.type !== 'scalar') return;
  for (const [frame, change] of [
    [env.frame, refineNotTaken],
    [other.current, refineTaken],
  ] as const) {
    const a = copyReg(left);
    const b = src === dst ? a : copyReg(right);
    change(op, a, b, width);
    syncBounds(a);
    if (b !== a) syncBounds(b);
    if (boundsProblem(a) !== undefined) unbound(a);
    if (boundsProblem(b) !== undefined) unbound(b);
    frame.regs[dst] = a;
    if (src !== undefined) frame.regs[src] = b;
  }
}

function syncRelatives(env: Env, comparison: Comparison, other: State, linked: readonly RegPlace[]): void {
  for (const regno of [comparison.src, comparison.dst]) {
    if (regno === undefined) continue;
    const reg = env.reg(regno);
    if (reg.type !== 'scalar' || reg.id === 0) continue;
    syncLinked(env.state, reg, linked);
    syncLinked(other, other.current.reg(regno), linked);
  }
}

/** Two pointers that are equal are both not null when one of them is not. */
function settleEqualPointers({ op, width, dst, src }: Comparison, env: Env, other: State): void {
  if (src === undefined || width === 32 || (op !== 'jeq' && op !== 'jne')) return;
  const left = env.reg(dst);
  const right = env.reg(src);
  if (!isPointer(left) || !isPointer(right) || left.type === 'ptr_' || right.type === 'ptr_') return;
  const { regs } = op === 'jeq' ? other.current : env.frame;
  const notNull = (reg: Reg): Reg => {
    const draft = copyReg(reg);
    draft.flags &= ~MAYBE_NULL;
    return draft;
  };
  if (isNotNull(left) && mayBeNull(right)) regs[src] = notNull(right);
  if (isNotNull(right) && mayBeNull(left)) regs[dst] = notNull(left);
}

function linkedTo(env: Env, { dst, src }: Comparison): readonly RegPlace[] {
  const linked: RegPlace[] = [];
  const [left, right] = [env.reg(dst), src === undefined ? undefined : env.reg(src)];
  if (right?.type === 'scalar' && right.id !== 0) collectLinked(env.state, right.id, linked);
  if (left.type === 'scalar' && left.id !== 0 && left.id !== right?.id) collectLinked(env.state, left.id, linked);
  if (linked.length > 1) env.annotate({ linked });
  return linked;
}

export function comparisonOf(env: Env, insn: Insn, slot: number): Comparison | undefined {
  const { meaning } = insn;
  if (meaning.kind !== 'jump') return undefined;
  const { code } = env;
  return {
    op: meaning.op,
    width: meaning.width,
    dst: code.dst[slot] as number,
    src: meaning.from === 'reg' ? (code.src[slot] as number) : undefined,
    imm: code.imm[slot] as number,
  };
}

/** check_cond_jmp_op: follows one path and keeps the other for later, each with what the comparison says on it. Answers where to go on. */
export function checkJump(env: Env, comparison: Comparison, slot: number): number {
  const { op, width, dst, src, imm } = comparison;
  const target = slot + 1 + (env.code.off[slot] as number);
  const left = env.readReg(dst);
  const right = src === undefined ? knownScalar(BigInt(imm)) : env.readReg(src);
  const pointers = (left.type === 'fp' ? 1 : 0) | (src !== undefined && right.type === 'fp' ? 2 : 0);
  if (pointers !== 0) env.annotate({ pointers });
  const taken = branchTaken(op, left, right, width);
  if (taken !== undefined) {
    if (!isPointer(left)) markPrecise(env, dst);
    if (src !== undefined && !isPointer(right)) markPrecise(env, src);
    printState(env);
    return taken ? target : slot + 1;
  }
  const linked = linkedTo(env, comparison);
  const other = env.push(target, slot);
  refineBoth(env, comparison, other);
  syncRelatives(env, comparison, other, linked);
  settleEqualPointers(comparison, env, other);
  if (width === 64 && src === undefined && imm === 0 && (op === 'jeq' || op === 'jne') && mayBeNull(env.reg(dst))) {
    settleNulls(env.state, dst, op === 'jne');
    settleNulls(other, dst, op === 'jeq');
  }
  printState(env);
  return slot + 1;
}
