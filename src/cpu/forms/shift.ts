import { carryVector } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { type Load, loadForWriteOf, loadOf, type Op, type Place, storeBackOf, storeOf } from '../operand.ts';
import { FLAG_CARRY } from '../registers.ts';
import { place, value } from './alu.ts';
import { logicNarrow, logicWide } from './alu-ops.ts';
import { RCL, RCR, ROL, ROR, SAR, SHL, SHR, type ShiftOp } from './shift-ops.ts';
import { bitOf, rotateLeft, shiftLeft, shiftRight, shiftRightSigned } from './wide-shift.ts';

/** A constant count of a register of 32 or 64 bits, as compilers write nearly all. */
function shiftRegister(op: ShiftOp, index: number, size: number, count: number): Op {
  if (size === 8)
    return (c) => {
      const { words } = c;
      words[index] = op.wide(c, words[index] ?? 0, words[index + 1] ?? 0, count);
      words[index + 1] = c.valueHigh;
    };
  return ({ words }) => {
    words[index] = op.narrow(words, words[index] ?? 0, count, 32);
    words[index + 1] = 0;
  };
}

const shift =
  (op: ShiftOp) =>
  ({ operands }: Instruction): Op => {
    const target = place(operands[0]);
    const by = value(operands[1]);
    const { size } = target;
    const mask = size === 8 ? 63 : 31;
    if (by.kind === 'immediate' && target.kind === 'register' && size >= 4 && (by.low & mask) !== 0)
      return shiftRegister(op, target.index, size, by.low & mask);
    const loadCount = loadOf(by);
    const load = loadForWriteOf(target);
    const store = storeBackOf(target);
    return (c) => {
      const count = loadCount(c) & mask;
      const low = load(c);
      if (count === 0) return store(c, low, c.valueHigh);
      const result = size === 8 ? op.wide(c, low, c.valueHigh, count) : op.narrow(c.words, low, count, size * 8);
      store(c, result, c.valueHigh);
    };
  };

function shifts(name: string, digit: number, op: ShiftOp): readonly Form[] {
  const shared = { name, build: shift(op), undefinedFlags: op.isRotate ? 'rotate' : name === 'sar' ? 'sar' : 'shift' };
  return [
    { ...shared, encoding: `c0 /${digit}`, operands: 'Eb Ib' },
    { ...shared, encoding: `c1 /${digit}`, operands: 'Ev Ib' },
    { ...shared, encoding: `d0 /${digit}`, operands: 'Eb 1b' },
    { ...shared, encoding: `d1 /${digit}`, operands: 'Ev 1b' },
    { ...shared, encoding: `d2 /${digit}`, operands: 'Eb Cb' },
    { ...shared, encoding: `d3 /${digit}`, operands: 'Ev Cb' },
  ];
}

/**
 * shld and shrd. A 16-bit operand shifted by more than 16 has no defined result; what comes out here is that of shifting the two operands and the
 * first again in a row.
 */
function double(isLeft: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const loadSource = loadOf(value(operands[1]));
    const loadCount = loadOf(value(operands[2]));
    const run = doubleShift(target, isLeft);
    const mask = target.size === 8 ? 63 : 31;
    return (c) => {
      const count = loadCount(c) & mask;
      const low = loadSource(c);
      run(c, low, c.valueHigh, count);
    };
  };
}

type DoubleShift = (c: Parameters<Op>[0], low: number, high: number, count: number) => void;

function doubleShift(target: Place, isLeft: boolean): DoubleShift {
  const load: Load = loadForWriteOf(target);
  const store = storeBackOf(target);
  const bits = target.size * 8;
  if (target.size === 8)
    return (c, sourceLow, sourceHigh, count) => {
      const low = load(c);
      const high = c.valueHigh;
      if (count === 0) return store(c, low, high);
      const kept = isLeft ? shiftLeft(c, low, high, count) : shiftRight(c, low, high, count);
      const keptHigh = c.valueHigh;
      const rest = 64 - count;
      const filled = isLeft ? shiftRight(c, sourceLow, sourceHigh, rest) : shiftLeft(c, sourceLow, sourceHigh, rest);
      const result = logicWide(c, kept | filled, keptHigh | c.valueHigh);
      const cf = bitOf(low, high, isLeft ? rest : count - 1);
      c.words[FLAG_CARRY] = carryVector(cf, (c.valueHigh ^ high) >>> 31);
      store(c, result, c.valueHigh);
    };
  return (c, source, _high, count) => {
    const low = load(c);
    if (count === 0) return store(c, low, 0);
    const [result, cf] = bits === 32 ? double32(low, source, count, isLeft) : double16(low, source, count, isLeft);
    logicNarrow(c.words, result, 32 - bits);
    c.words[FLAG_CARRY] = carryVector(cf & 1, ((result ^ low) >>> (bits - 1)) & 1);
    store(c, result, 0);
  };
}

const double32 = (a: number, b: number, count: number, isLeft: boolean): readonly [number, number] =>
  isLeft
    ? [(a << count) | (b >>> (32 - count)), a >>> (32 - count)]
    : [(a >>> count) | (b << (32 - count)), a >>> (count - 1)];

function double16(a: number, b: number, count: number, isLeft: boolean): readonly [number, number] {
  if (isLeft) {
    const row = (a * 0x1_0000 + b) * 0x1_0000 + a;
    return [Math.floor(row / 2 ** (32 - count)) & 0xffff, Math.floor(row / 2 ** (48 - count)) & 1];
  }
  const row = (a * 0x1_0000 + b) * 0x1_0000 + a;
  return [Math.floor(row / 2 ** count) & 0xffff, Math.floor(row / 2 ** (count - 1)) & 1];
}

/** The BMI2 shifts: count in a register, no flags. */
type PlainShift = (c: Parameters<Op>[0], low: number, high: number, count: number) => number;

function plain(narrow: (a: number, count: number) => number, wide: PlainShift): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const load = loadOf(value(operands[1]));
    const loadCount = loadOf(value(operands[2]));
    const store = storeOf(target);
    const isWide = target.size === 8;
    return (c) => {
      const count = loadCount(c);
      const low = load(c);
      const result = isWide ? wide(c, low, c.valueHigh, count & 63) : narrow(low, count & 31);
      store(c, result, c.valueHigh);
    };
  };
}

const rotateRight: PlainShift = (c, low, high, count) => rotateLeft(c, low, high, (64 - count) & 63);

export const SHIFT_FORMS: readonly Form[] = [
  ...shifts('rol', 0, ROL),
  ...shifts('ror', 1, ROR),
  ...shifts('rcl', 2, RCL),
  ...shifts('rcr', 3, RCR),
  ...shifts('shl', 4, SHL),
  ...shifts('shr', 5, SHR),
  ...shifts('shl', 6, SHL),
  ...shifts('sar', 7, SAR),
  { name: 'shld', encoding: '0f a4 /r', operands: 'Ev Gv Ib', build: double(true), undefinedFlags: 'double' },
  { name: 'shld', encoding: '0f a5 /r', operands: 'Ev Gv Cb', build: double(true), undefinedFlags: 'double' },
  { name: 'shrd', encoding: '0f ac /r', operands: 'Ev Gv Ib', build: double(false), undefinedFlags: 'double' },
  { name: 'shrd', encoding: '0f ad /r', operands: 'Ev Gv Cb', build: double(false), undefinedFlags: 'double' },
  { name: 'shlx', encoding: 'vex.0f38.66 f7 /r', operands: 'Gy Ey By', build: plain((a, n) => a << n, shiftLeft) },
  {
    name: 'sarx',
    encoding: 'vex.0f38.f3 f7 /r',
    operands: 'Gy Ey By',
    build: plain((a, n) => a >> n, shiftRightSigned),
  },
  {
    name: 'shrx',
    encoding: 'vex.0f38.f2 f7 /r',
    operands: 'Gy Ey By',
    build: plain((a, n) => (a >>> n) | 0, shiftRight),
  },
  {
    name: 'rorx',
    encoding: 'vex.0f3a.f2 f0 /r',
    operands: 'Gy Ey Ib',
    build: plain((a, n) => (n === 0 ? a : (a >>> n) | (a << (32 - n))), rotateRight),
  },
];
