import type { AluOp, Insn, SignedOp, Width } from '../bpf/index.ts';
import { boundsProblem, syncBounds, unbound, zeroExtend32 } from './bounds.ts';
import { coerceSubregToSizeSigned, coerceToSizeSigned } from './coerce.ts';
import type { Env } from './env.ts';
import { pointerAlu } from './pointer-alu.ts';
import { markPrecise } from './precision.ts';
import {
  constValue,
  copyReg,
  isConstReg,
  knownScalar,
  type Reg,
  type RegDraft,
  unknownScalar,
  widthOf,
} from './reg.ts';
import { scalarAlu } from './scalar-alu.ts';
import { assignId, clearId } from './scalar-id.ts';
import { isConst } from './tnum.ts';

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };
type Op = AluOp | SignedOp;

/** bpf_alu_string (kernel/bpf/disasm.c). */
const OPERATORS: Readonly<Record<Op, string>> = {
  add: '+=',
  sub: '-=',
  mul: '*=',
  div: '/=',
  sdiv: '/=',
  or: '|=',
  and: '&=',
  lsh: '<<=',
  rsh: '>>=',
  mod: '%=',
  smod: '%=',
  xor: '^=',
  arsh: 's>>=',
};

export const operatorText = (op: Op): string => OPERATORS[op];

/** A register whose bounds contradict each other is what no path leads to; nothing more is taken from them (reg_bounds_sanity_check). */
export function checkBounds(env: Env, regno: number): void {
  const reg = env.reg(regno);
  if (boundsProblem(reg) === undefined) return;
  const draft = copyReg(reg);
  unbound(draft);
  env.setReg(regno, draft);
}

/** `and` and `or` with a constant, of what is 0 or -1: each of the two is followed by itself (maybe_fork_scalars). */
function forkScalar(env: Env, dst: number): void {
  const reg = env.reg(dst);
  const isWide = reg.smin === -1n && reg.smax === 0n;
  const isNarrow = reg.s32min === -1 && reg.s32max === 0;
  if (!isWide && !isNarrow) return;
  const other = env.push(env.insn, env.insn);
  const known = (value: bigint): RegDraft => {
    const draft = copyReg(reg);
    if (isWide) Object.assign(draft, { ...knownScalar(value) });
    else {
      const low = knownScalar(value);
      draft.tnum = {
        value: (draft.tnum.value & ~0xffff_ffffn) | (value & 0xffff_ffffn),
        mask: draft.tnum.mask & ~0xffff_ffffn,
      };
      Object.assign(draft, { s32min: low.s32min, s32max: low.s32max, u32min: low.u32min, u32max: low.u32max });
    }
    return draft;
  };
  other.current.regs[dst] = known(0n);
  env.setReg(dst, known(-1n));
}

/** Of two numbers (the end of adjust_reg_min_max_vals). */
function scalarOperation(env: Env, op: Op, width: Width, dst: number, src: Reg, isSelf: boolean): void {
  if ((op === 'and' || op === 'or') && isConst(src.tnum)) forkScalar(env, dst);
  const draft = env.draft(dst);
  const { precise } = draft;
  scalarAlu(op, width, draft, src);
  draft.precise = precise;
  if (op === 'add' && width === 64 && draft.id !== 0 && isConstReg(src, 64) && !isSelf) {
    const value = constValue(src, 64);
    if (draft.isAddConst || value > 0x7fff_ffffn) clearId(draft);
    else {
      draft.isAddConst = true;
      draft.off = Number(value);
    }
  } else clearId(draft);
  env.setReg(dst, draft);
}

function binary(env: Env, { op, width, from }: Of<'alu'>, dst: number, src: number, imm: number): void {
  const left = env.reg(dst);
  const right = from === 'reg' ? env.reg(src) : knownScalar(BigInt(imm));
  const context = { op, width, dst };
  if (left.type !== 'scalar' && right.type !== 'scalar') {
    if (op === 'sub') {
      env.setReg(dst, unknownScalar());
      return;
    }
    env.reject('EACCES', `R${dst} pointer ${OPERATORS[op]} pointer prohibited`);
  }
  if (right.type !== 'scalar') {
    markPrecise(env, dst);
    pointerAlu(env, context, right, left, false);
    return;
  }
  if (left.type !== 'scalar') {
    if (from === 'reg') markPrecise(env, src);
    pointerAlu(env, context, left, right, true);
    return;
  }
  if (from === 'reg' && left.precise) markPrecise(env, src);
  scalarOperation(env, op, width, dst, right, from === 'reg' && src === dst);
}

function move(env: Env, { width, from }: Of<'mov'>, dst: number, src: number, imm: number): void {
  if (from === 'imm') {
    env.setReg(dst, knownScalar(width === 64 ? BigInt(imm) : BigInt(imm >>> 0)));
    return;
  }
  const source = env.reg(src);
  if (width === 64) {
    assignId(env, src);
    env.setReg(dst, env.reg(src));
    return;
  }
  if (source.type !== 'scalar') {
    const draft = unknownScalar();
    zeroExtend32(draft);
    syncBounds(draft);
    env.setReg(dst, draft);
    return;
  }
  const fits = widthOf(source) <= 32;
  if (fits) assignId(env, src);
  const draft = env.draft(src);
  if (!fits) clearId(draft);
  zeroExtend32(draft);
  syncBounds(draft);
  env.setReg(dst, draft);
}

function moveSigned(env: Env, { width, size }: Of<'movsx'>, dst: number, src: number): void {
  if (env.reg(src).type !== 'scalar') {
    const draft = unknownScalar();
    if (width === 32) {
      zeroExtend32(draft);
      syncBounds(draft);
    }
    env.setReg(dst, draft);
    return;
  }
  const isSame = env.reg(src).umax < 1n << BigInt(size - 1);
  if (isSame) assignId(env, src);
  const draft = env.draft(src);
  if (!isSame) clearId(draft);
  if (width === 64) coerceToSizeSigned(draft, (size / 8) as 1 | 2 | 4);
  else {
    coerceSubregToSizeSigned(draft, (size / 8) as 1 | 2);
    zeroExtend32(draft);
    syncBounds(draft);
  }
  env.setReg(dst, draft);
}

const SHIFTS: ReadonlySet<Op> = new Set(['lsh', 'rsh', 'arsh']);
const DIVISIONS: ReadonlySet<Op> = new Set(['div', 'mod', 'sdiv', 'smod']);

function checkImmediate(env: Env, { op, width, from }: Of<'alu'>, imm: number): void {
  if (from !== 'imm') return;
  if (DIVISIONS.has(op) && imm === 0) env.reject('EINVAL', 'div by zero');
  if (SHIFTS.has(op) && (imm < 0 || imm >= width)) env.reject('EINVAL', `invalid shift ${imm}`);
}

/** check_alu_op: arithmetic on registers, numbers and pointers. */
export function checkAlu(env: Env, insn: Insn, slot: number): void {
  const { code } = env;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  const imm = code.imm[slot] as number;
  const { meaning } = insn;
  switch (meaning.kind) {
    case 'neg':
    case 'swap':
      env.readReg(dst);
      env.writeUnknown(dst);
      break;
    case 'mov':
      if (meaning.from === 'reg') env.readReg(src);
      env.writeReg(dst);
      move(env, meaning, dst, src, imm);
      break;
    case 'movsx':
      env.readReg(src);
      env.writeReg(dst);
      moveSigned(env, meaning, dst, src);
      break;
    case 'alu':
      if (meaning.from === 'reg') env.readReg(src);
      env.readReg(dst);
      checkImmediate(env, meaning, imm);
      env.writeReg(dst);
      binary(env, meaning, dst, src, imm);
      break;
    default:
      return;
  }
  checkBounds(env, dst);
}
