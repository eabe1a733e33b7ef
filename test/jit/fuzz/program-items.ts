/**
 * What a random program is made of. An item is a few instructions that belong together: it may be left out without making the program invalid, and
 * jumps lead to the beginning of items only.
 */
import type { Prng } from '../../../src/base/index.ts';
import { type Insn, ISA, insnNamed } from '../../../src/jit/index.ts';
import { IDENTITY_HELPER } from '../../support/native/area.ts';

/** One slot; `to` is the item that a jump leads to, `calls` the function of a local call. */
export interface Slot {
  readonly insn: Insn;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
  readonly to?: number;
  readonly calls?: number;
}
export type Item = readonly Slot[];

/** Bytes of memory that every program finds at R1, and where in them R9 points, so that displacements of both signs and sizes occur. */
export const DATA_SIZE = 512;
const MIDDLE = 160;
/** Bytes of stack that are written first and then used at random; above them is the counter of loops. */
const STACK_WINDOW = 96;
const COUNTER = -8;
const STACK_TOP = COUNTER;
/** Registers with numbers in them; R9 and R10 hold addresses, which differ from one way of running to another and stay where they are. */
const SCALARS = 9;
const DATA = 9;
const FRAME = 10;

const MOV = insnNamed('mov', 'reg');
const MOV_IMM = insnNamed('mov', 'imm');
const ADD_IMM = insnNamed('add', 'imm');
const XOR = insnNamed('xor', 'reg');
const MUL_IMM = insnNamed('mul', 'imm');
const JNE_IMM = insnNamed('jne', 'imm');
const LDDW = insnNamed('lddw');
const LOAD64 = insnNamed('ldxdw');
const STORE64 = insnNamed('stxdw');
const STORE64_IMM = insnNamed('stdw');
const CALL = insnNamed('call');
const CALL_LOCAL = insnNamed('call local');
const EXIT = insnNamed('exit');

type Kind = Insn['meaning']['kind'];
const ofKind = (...kinds: readonly Kind[]): readonly Insn[] =>
  ISA.filter((insn) => kinds.includes(insn.meaning.kind) && insn.group !== 'internal' && insn.since !== undefined);
const ALU = ofKind('alu', 'mov', 'movsx', 'neg', 'swap');
const JUMPS = ofKind('jump', 'ja');
const CONDITIONAL = ofKind('jump');
const LOADS = ofKind('load');
const STORES = ofKind('store');
const ATOMICS = ofKind('atomic');
/** Instructions that random programs have, beside calls and exit. */
export const COVERED: readonly Insn[] = [...ALU, ...JUMPS, ...LOADS, ...STORES, ...ATOMICS, LDDW];

const EDGES = [0, 1, 2, -1, -2, 7, 31, 32, 63, 127, 128, -128, -129, 255, 256, 0x7fff_ffff, -0x8000_0000, 0xffff, -10];

const slot = (insn: Insn, dst: number, src: number, off: number, imm: number): Slot => ({ insn, dst, src, off, imm });
const pick = <T>(prng: Prng, list: readonly T[]): T => list[prng.below(list.length)] as T;
const scalar = (prng: Prng): number => prng.below(SCALARS);

export const randomImmediate = (prng: Prng): number => (prng.below(2) === 0 ? pick(prng, EDGES) : prng.u32() | 0);

/** The immediate of an instruction: what it has to be, a shift count below the width, or any. */
function immediateOf(prng: Prng, { imm, meaning }: Insn): number {
  if (typeof imm === 'number') return imm;
  const isShift = meaning.kind === 'alu' && ['lsh', 'rsh', 'arsh'].includes(meaning.op);
  return isShift ? prng.below(meaning.width) : randomImmediate(prng);
}

const fixed = (use: Insn['off'] | Insn['src'] | Insn['imm']): number => (typeof use === 'number' ? use : 0);
const usesSource = ({ src }: Insn): boolean => src === 'read' || src === 'update' || src === 'write';

function aluItem(prng: Prng): Item {
  const insn = pick(prng, ALU);
  const src = usesSource(insn) ? scalar(prng) : fixed(insn.src);
  return [slot(insn, scalar(prng), src, fixed(insn.off), immediateOf(prng, insn))];
}

function lddw(prng: Prng, dst: number): Item {
  return [slot(LDDW, dst, 0, 0, randomImmediate(prng)), slot(LDDW, 0, 0, 0, randomImmediate(prng))];
}

/** A base register with the bytes around it that may be accessed: [from, to). */
type Window = readonly [base: number, from: number, to: number];
const DATA_WINDOW: Window = [DATA, -MIDDLE, DATA_SIZE - MIDDLE];
const FRAME_WINDOW: Window = [FRAME, STACK_TOP - STACK_WINDOW, STACK_TOP];
const anyWindow = (prng: Prng): Window => (prng.below(2) === 0 ? DATA_WINDOW : FRAME_WINDOW);

function accessSlot(prng: Prng, [base, from, to]: Window, value: number): Slot {
  const kind = prng.below(5);
  const insn = pick(prng, kind < 2 ? LOADS : kind < 4 ? STORES : ATOMICS);
  const { meaning } = insn;
  const size =
    (meaning.kind === 'atomic'
      ? meaning.width
      : meaning.kind === 'load' || meaning.kind === 'store'
        ? meaning.size
        : 8) / 8;
  // The windows begin at multiples of 8, and so do their bases: atomics are aligned.
  const step = meaning.kind === 'atomic' ? size : 1;
  const off = from + prng.below((to - from - size) / step + 1) * step;
  const src = usesSource(insn) ? scalar(prng) : 0;
  const imm = immediateOf(prng, insn);
  return meaning.kind === 'load' ? slot(insn, value, base, off, imm) : slot(insn, base, src, off, imm);
}

const accessItem = (prng: Prng): Item => [accessSlot(prng, anyWindow(prng), scalar(prng))];

/** An access through a copy of an address in a register that gets a number again. */
function copiedAccessItem(prng: Prng): Item {
  const [base, from, to] = anyWindow(prng);
  const copy = scalar(prng);
  const by = (prng.below(17) - 8) * 8;
  const access = accessSlot(prng, [copy, from - by, to - by], copy);
  // A load into the register is the number; what reads it would read an address.
  const isLoad = access.insn.meaning.kind === 'load';
  const other = (copy + 1) % SCALARS;
  // Register 0 is what cmpxchg compares: an address must not be there.
  if (access.insn.meaning.kind === 'atomic' && copy === 0) return accessItem(prng);
  return [
    slot(MOV, copy, base, 0, 0),
    slot(ADD_IMM, copy, 0, 0, by),
    !isLoad && access.src === copy && usesSource(access.insn) ? { ...access, src: other } : access,
    ...(isLoad ? [] : [slot(MOV_IMM, copy, 0, 0, randomImmediate(prng))]),
  ];
}

function jumpSlot(prng: Prng, insns: readonly Insn[]): Slot {
  const insn = pick(prng, insns);
  const dst = insn.meaning.kind === 'jump' ? scalar(prng) : 0;
  return slot(
    insn,
    dst,
    usesSource(insn) ? scalar(prng) : 0,
    0,
    insn.meaning.kind === 'jump' ? immediateOf(prng, insn) : 0,
  );
}

/** Forward only, to any later item or the end. */
function jumpItem(prng: Prng, index: number, count: number): Item {
  const isNear = prng.below(3) > 0;
  const to = Math.min(count, index + 1 + prng.below(isNear ? 4 : count - index));
  return [{ ...jumpSlot(prng, JUMPS), to }];
}

/** A loop of a few rounds, counted on the stack. */
function loopItem(prng: Prng): Item {
  const counter = scalar(prng);
  const body = Array.from({ length: 1 + prng.below(6) }, () =>
    prng.below(4) === 0 ? accessItem(prng) : aluItem(prng),
  ).flat();
  return [
    slot(STORE64_IMM, FRAME, 0, COUNTER, 1 + prng.below(6)),
    ...body,
    slot(LOAD64, counter, FRAME, COUNTER, 0),
    slot(ADD_IMM, counter, 0, 0, -1),
    slot(STORE64, FRAME, counter, COUNTER, 0),
    slot(JNE_IMM, counter, 0, -(body.length + 4), 0),
  ];
}

/** R1 to R5 have no value behind a call. */
const forgotten = (prng: Prng): Item =>
  [1, 2, 3, 4, 5].map((register) => slot(MOV_IMM, register, 0, 0, randomImmediate(prng)));

const helperItem = (prng: Prng): Item => [
  slot(MOV, 1, scalar(prng), 0, 0),
  slot(CALL, 0, 0, 0, IDENTITY_HELPER),
  ...forgotten(prng),
];

const localCallItem = (prng: Prng, callee: number): Item => [
  slot(MOV, 1, DATA, 0, 0),
  { ...slot(CALL_LOCAL, 0, 1, 0, 0), calls: callee },
  ...forgotten(prng),
];

export const TAIL_CALL_HELPER = 12;

/** @param array where the prog array lies, counted from the data @param index what is asked for, perhaps beyond the array */
const tailCallItem = (prng: Prng, array: number, index: number): Item => [
  slot(MOV, 1, DATA, 0, 0),
  slot(ADD_IMM, 1, 0, 0, -MIDDLE),
  slot(MOV, 2, DATA, 0, 0),
  slot(ADD_IMM, 2, 0, 0, array - MIDDLE),
  slot(MOV_IMM, 3, 0, 0, index),
  slot(CALL, 0, 0, 0, TAIL_CALL_HELPER),
  slot(MOV_IMM, 0, 0, 0, randomImmediate(prng)),
  ...forgotten(prng),
];

const earlyExitItem = (prng: Prng): Item => [{ ...jumpSlot(prng, CONDITIONAL), off: 1 }, slot(EXIT, 0, 0, 0, 0)];

/** Everything that a function reads has a value first. Memory is at R1; a callee keeps the numbers in R2 to R5. */
export function prologue(prng: Prng, isMain: boolean): Item {
  const registers = isMain ? [0, 1, 2, 3, 4, 5, 6, 7, 8] : [0, 1, 6, 7, 8];
  const words = Array.from({ length: STACK_WINDOW / 8 }, (_, word) => STACK_TOP - 8 * (word + 1));
  return [
    slot(MOV, DATA, 1, 0, 0),
    slot(ADD_IMM, DATA, 0, 0, isMain ? MIDDLE : 0),
    ...registers.flatMap(
      (register): Item =>
        prng.below(3) === 0 ? lddw(prng, register) : [slot(MOV_IMM, register, 0, 0, randomImmediate(prng))],
    ),
    ...words.map((off) => slot(STORE64_IMM, FRAME, 0, off, randomImmediate(prng))),
  ];
}

/** R0 becomes a number that depends on all registers. */
export const epilogue: Item = [
  ...[1, 2, 3, 4, 5, 6, 7, 8].flatMap((register) => [slot(MUL_IMM, 0, 0, 0, 0x01000193), slot(XOR, 0, register, 0, 0)]),
  slot(EXIT, 0, 0, 0, 0),
];

export interface ItemContext {
  /** This item, and how many the function has. */
  readonly index: number;
  readonly count: number;
  /** Functions that this one may call. */
  readonly callees: readonly number[];
  /** Where the prog array lies in the data and how many programs it has; undefined where there are no tail calls. */
  readonly tailCalls: { readonly array: number; readonly programs: number } | undefined;
}

export function randomItem(prng: Prng, { index, count, callees, tailCalls }: ItemContext): Item {
  const kind = prng.below(100);
  if (kind < 45) return aluItem(prng);
  if (kind < 60) return jumpItem(prng, index, count);
  if (kind < 78) return accessItem(prng);
  if (kind < 84) return copiedAccessItem(prng);
  if (kind < 88) return lddw(prng, scalar(prng));
  if (kind < 91) return loopItem(prng);
  if (kind < 94) return helperItem(prng);
  if (kind < 97) return callees.length > 0 ? localCallItem(prng, pick(prng, callees)) : aluItem(prng);
  if (kind < 99 && tailCalls !== undefined)
    return tailCallItem(prng, tailCalls.array, prng.below(tailCalls.programs + 2));
  return earlyExitItem(prng);
}
