/** mul, imul, div, idiv, mulx and the sign extensions of the accumulator. The flags that are undefined behind them stay as they were. */
import type { Cpu } from '../cpu.ts';
import { divideError } from '../fault.ts';
import { carryVector } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { type Load, loadOf, type Op, type Operand, storeOf } from '../operand.ts';
import { FLAG_CARRY, RAX, RDX } from '../registers.ts';
import { highWord, lowWord, wide } from '../wide.ts';
import { place, value } from './alu.ts';
import { multiplyHigh, multiplyWideHigh, multiplyWideMiddle, signedHigh } from './multiply-ops.ts';

function setOverflow(r: Int32Array, isLost: boolean): void {
  r[FLAG_CARRY] = isLost ? carryVector(1, 1) : 0;
}

/** Sign-extends what a Load of this size gives. */
const signExtend = (low: number, size: number): number => (low << (32 - size * 8)) >> (32 - size * 8);

/** rdx:rax = rax * operand, and its smaller sisters. */
function widening(isSigned: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const from = value(operands[0]);
    const load = loadOf(from);
    if (from.size === 8) return multiply64(load, isSigned);
    if (from.size === 4) return multiply32(load, isSigned);
    const { size } = from;
    return (c) => {
      const raw = load(c);
      const acc = size === 1 ? (c.bytes[0] ?? 0) : (c.halves[0] ?? 0);
      const product = isSigned ? signExtend(raw, size) * signExtend(acc, size) : raw * acc;
      c.halves[0] = product;
      if (size === 2) c.halves[RDX * 2] = product >> 16;
      const half = size * 8;
      const top = isSigned ? product !== signExtend(product, size) : product >>> half !== 0;
      setOverflow(c.words, top);
    };
  };
}

function multiply32(load: Load, isSigned: boolean): Op {
  return (c) => {
    const { words } = c;
    const b = load(c);
    const a = words[RAX] ?? 0;
    const low = Math.imul(a, b);
    const unsigned = multiplyHigh(a, b);
    const high = isSigned ? (unsigned - (a < 0 ? b : 0) - (b < 0 ? a : 0)) | 0 : unsigned;
    words[RAX] = low;
    words[RAX + 1] = 0;
    words[RDX] = high;
    words[RDX + 1] = 0;
    setOverflow(words, isSigned ? high !== low >> 31 : high !== 0);
  };
}

function multiply64(load: Load, isSigned: boolean): Op {
  return (c) => {
    const { words } = c;
    const bLow = load(c);
    const bHigh = c.valueHigh;
    const aLow = words[RAX] ?? 0;
    const aHigh = words[RAX + 1] ?? 0;
    const middle = multiplyWideMiddle(aLow, aHigh, bLow, bHigh);
    const unsigned = multiplyWideHigh(aLow, aHigh, bLow, bHigh);
    const [low, high] = isSigned ? signedHigh(unsigned, aLow, aHigh, bLow, bHigh) : unsigned;
    words[RAX] = Math.imul(aLow, bLow);
    words[RAX + 1] = middle;
    words[RDX] = low;
    words[RDX + 1] = high;
    const sign = isSigned ? middle >> 31 : 0;
    setOverflow(words, low !== sign || high !== sign);
  };
}

/** `imul` with two or three operands: the product is cut to the size of the destination. */
function imul(a: Operand | undefined, b: Operand | undefined, target: Operand | undefined): Op {
  const to = place(target);
  const loadA = loadOf(value(a));
  const loadB = loadOf(value(b));
  const store = storeOf(to);
  const { size } = to;
  if (size === 8)
    return (c) => {
      const aLow = loadA(c);
      const aHigh = c.valueHigh;
      const bLow = loadB(c);
      const bHigh = c.valueHigh;
      const middle = multiplyWideMiddle(aLow, aHigh, bLow, bHigh);
      const unsigned = multiplyWideHigh(aLow, aHigh, bLow, bHigh);
      const [low, high] = signedHigh(unsigned, aLow, aHigh, bLow, bHigh);
      setOverflow(c.words, low !== middle >> 31 || high !== middle >> 31);
      store(c, Math.imul(aLow, bLow), middle);
    };
  return (c) => {
    const x = signExtend(loadA(c), size);
    const y = signExtend(loadB(c), size);
    const low = Math.imul(x, y);
    // 53 bits tell whether the exact product of 32-bit numbers fits 32 bits; of 16-bit ones it is exact.
    setOverflow(c.words, x * y !== (size === 2 ? signExtend(low, 2) : low));
    store(c, low, 0);
  };
}

function mulx({ operands }: Instruction): Op {
  const high = place(operands[0]);
  const low = place(operands[1]);
  const load = loadOf(value(operands[2]));
  const storeHigh = storeOf(high);
  const storeLow = storeOf(low);
  const isWide = high.size === 8;
  return (c) => {
    const bLow = load(c);
    const bHigh = c.valueHigh;
    const aLow = c.words[RDX] ?? 0;
    const aHigh = c.words[RDX + 1] ?? 0;
    // When both are the same register, the high half stays.
    if (isWide) {
      const [top, topHigh] = multiplyWideHigh(aLow, aHigh, bLow, bHigh);
      storeLow(c, Math.imul(aLow, bLow), multiplyWideMiddle(aLow, aHigh, bLow, bHigh));
      storeHigh(c, top, topHigh);
    } else {
      storeLow(c, Math.imul(aLow, bLow), 0);
      storeHigh(c, multiplyHigh(aLow, bLow), 0);
    }
  };
}

/** Quotient and remainder of numbers of any width; #DE when the quotient does not fit `bits`. */
function divide(dividend: bigint, divisor: bigint, bits: number, isSigned: boolean): readonly [bigint, bigint] {
  if (divisor === 0n) throw divideError('division by zero');
  const quotient = dividend / divisor;
  const fits = isSigned ? BigInt.asIntN(bits, quotient) : BigInt.asUintN(bits, quotient);
  if (fits !== quotient) throw divideError('the quotient does not fit');
  return [quotient, dividend % divisor];
}

/** Dividends of 32 bits or less, which is what C's `/` on ints compiles to: exact in doubles. */
function divideSmall(c: Cpu, divisor: number, isSigned: boolean): boolean {
  const { words } = c;
  const a = words[RAX] ?? 0;
  if (divisor === 0 || words[RDX] !== (isSigned ? a >> 31 : 0)) return false;
  const dividend = isSigned ? a : a >>> 0;
  const by = isSigned ? divisor : divisor >>> 0;
  const quotient = Math.trunc(dividend / by);
  if (quotient > 0x7fff_ffff && isSigned) return false;
  words[RAX] = quotient;
  words[RDX] = dividend - quotient * by;
  words[RAX + 1] = words[RDX + 1] = 0;
  return true;
}

function div(isSigned: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const from = value(operands[0]);
    const load = loadOf(from);
    const { size } = from;
    const bits = size * 8;
    const cast = isSigned ? BigInt.asIntN : BigInt.asUintN;
    return (c) => {
      const { words } = c;
      const low = load(c);
      if (size === 4 && divideSmall(c, low, isSigned)) return;
      const divisor = cast(bits, wide(size === 8 ? c.valueHigh : 0, low));
      const rax = wide(words[RAX + 1] ?? 0, words[RAX] ?? 0);
      const rdx = wide(words[RDX + 1] ?? 0, words[RDX] ?? 0);
      const joined =
        size === 1 ? BigInt.asUintN(16, rax) : (BigInt.asUintN(bits, rdx) << BigInt(bits)) | BigInt.asUintN(bits, rax);
      const [quotient, remainder] = divide(cast(2 * bits, joined), divisor, bits, isSigned);
      writeQuotient(c, size, quotient, remainder);
    };
  };
}

function writeQuotient(c: Cpu, size: number, quotient: bigint, remainder: bigint): void {
  const { words } = c;
  if (size === 1) {
    c.bytes[0] = Number(BigInt.asUintN(8, quotient));
    c.bytes[1] = Number(BigInt.asUintN(8, remainder));
  } else if (size === 2) {
    c.halves[0] = Number(BigInt.asUintN(16, quotient));
    c.halves[RDX * 2] = Number(BigInt.asUintN(16, remainder));
  } else {
    words[RAX] = lowWord(quotient);
    words[RAX + 1] = size === 8 ? highWord(quotient) : 0;
    words[RDX] = lowWord(remainder);
    words[RDX + 1] = size === 8 ? highWord(remainder) : 0;
  }
}

/** cbw, cwde, cdqe. */
function extendAccumulator({ size }: Instruction): Op {
  if (size === 2)
    return (c) => {
      c.halves[0] = ((c.bytes[0] ?? 0) << 24) >> 24;
    };
  if (size === 4)
    return (c) => {
      c.words[RAX] = ((c.halves[0] ?? 0) << 16) >> 16;
      c.words[RAX + 1] = 0;
    };
  return ({ words }) => {
    words[RAX + 1] = (words[RAX] ?? 0) >> 31;
  };
}

/** cwd, cdq, cqo. */
function extendIntoRdx({ size }: Instruction): Op {
  if (size === 2)
    return (c) => {
      c.halves[RDX * 2] = ((c.halves[0] ?? 0) << 16) >> 31;
    };
  return ({ words }) => {
    const sign = (words[size === 8 ? RAX + 1 : RAX] ?? 0) >> 31;
    words[RDX] = sign;
    words[RDX + 1] = size === 8 ? sign : 0;
  };
}

export const MULTIPLY_FORMS: readonly Form[] = [
  { name: 'mul', encoding: 'f6 /4', operands: 'Eb', build: widening(false), undefinedFlags: 'szap' },
  { name: 'mul', encoding: 'f7 /4', operands: 'Ev', build: widening(false), undefinedFlags: 'szap' },
  { name: 'imul', encoding: 'f6 /5', operands: 'Eb', build: widening(true), undefinedFlags: 'szap' },
  { name: 'imul', encoding: 'f7 /5', operands: 'Ev', build: widening(true), undefinedFlags: 'szap' },
  {
    name: 'imul',
    encoding: '0f af /r',
    operands: 'Gv Ev',
    build: ({ operands: [a, b] }) => imul(a, b, a),
    undefinedFlags: 'szap',
  },
  {
    name: 'imul',
    encoding: '69 /r',
    operands: 'Gv Ev Iv',
    build: ({ operands: [to, a, b] }) => imul(a, b, to),
    undefinedFlags: 'szap',
  },
  {
    name: 'imul',
    encoding: '6b /r',
    operands: 'Gv Ev Iv',
    build: ({ operands: [to, a, b] }) => imul(a, b, to),
    undefinedFlags: 'szap',
  },
  { name: 'mulx', encoding: 'vex.0f38.f2 f6 /r', operands: 'Gy By Ey', build: mulx },
  { name: 'div', encoding: 'f6 /6', operands: 'Eb', build: div(false), undefinedFlags: 'oszapc' },
  { name: 'div', encoding: 'f7 /6', operands: 'Ev', build: div(false), undefinedFlags: 'oszapc' },
  { name: 'idiv', encoding: 'f6 /7', operands: 'Eb', build: div(true), undefinedFlags: 'oszapc' },
  { name: 'idiv', encoding: 'f7 /7', operands: 'Ev', build: div(true), undefinedFlags: 'oszapc' },
  { name: 'cbw', encoding: '98', operands: '', build: extendAccumulator },
  { name: 'cwd', encoding: '99', operands: '', build: extendIntoRdx },
];
