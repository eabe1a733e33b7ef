/** BMI1, BMI2 and ADX. */
import type { Cpu } from '../cpu.ts';
import { carryVector, getCF, getOF } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { loadOf, type Op, storeOf } from '../operand.ts';
import { FLAG_CARRY } from '../registers.ts';
import { place, value } from './alu.ts';
import { logicNarrow, logicWide } from './alu-ops.ts';
import { bitOf, shiftRight } from './wide-shift.ts';

/** What a two-operand form makes of its values; the high word in `cpu.valueHigh`. Words above a 32-bit operand are 0. */
type Wide = (c: Cpu, aLow: number, aHigh: number, bLow: number, bHigh: number, size: number) => number;
/** CF from source and second operand. */
type Carry = (aLow: number, aHigh: number, bLow: number, bHigh: number, size: number) => number;

const NO_CARRY: Carry = () => 0;

/** `target = compute(source, second)`; ZF and SF from the result, OF 0, CF by `carry`; AF and PF, which are undefined, as behind `and`. */
function bmi(compute: Wide, carry: Carry): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const { size } = target;
    const loadA = loadOf(value(operands[1]));
    const loadB = loadOf(value(operands[2] ?? operands[1]));
    const store = storeOf(target);
    return (c) => {
      const bLow = loadB(c);
      const bHigh = size === 8 ? c.valueHigh : 0;
      const aLow = loadA(c);
      const aHigh = size === 8 ? c.valueHigh : 0;
      const low = compute(c, aLow, aHigh, bLow, bHigh, size);
      if (size === 8) logicWide(c, low, c.valueHigh);
      else logicNarrow(c.words, low, 0);
      c.words[FLAG_CARRY] = carryVector(carry(aLow, aHigh, bLow, bHigh, size), 0);
      store(c, low, c.valueHigh);
    };
  };
}

/** As {@link bmi}, without flags. */
function bmiPlain(compute: Wide): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const isWide = target.size === 8;
    const loadA = loadOf(value(operands[1]));
    const loadB = loadOf(value(operands[2]));
    const store = storeOf(target);
    return (c) => {
      const bLow = loadB(c);
      const bHigh = isWide ? c.valueHigh : 0;
      const aLow = loadA(c);
      const aHigh = isWide ? c.valueHigh : 0;
      store(c, compute(c, aLow, aHigh, bLow, bHigh, target.size), c.valueHigh);
    };
  };
}

const andn: Wide = (c, aLow, aHigh, bLow, bHigh) => {
  c.valueHigh = ~aHigh & bHigh;
  return ~aLow & bLow;
};

/** x - 1 of a pair; the high word first, since the low one may borrow. */
const lessOneHigh = (low: number, high: number): number => (high - (low === 0 ? 1 : 0)) | 0;

const blsr: Wide = (c, low, high) => {
  c.valueHigh = high & lessOneHigh(low, high);
  return low & (low - 1);
};

const blsmsk: Wide = (c, low, high) => {
  c.valueHigh = high ^ lessOneHigh(low, high);
  return low ^ (low - 1);
};

const blsi: Wide = (c, low, high) => {
  c.valueHigh = high & (~high + (low === 0 ? 1 : 0));
  return low & -low;
};

const isZero: Carry = (low, high) => ((low | high) === 0 ? 1 : 0);
const isNotZero: Carry = (low, high) => ((low | high) === 0 ? 0 : 1);

/** The lowest `count` bits of a pair. */
function keep(c: Cpu, low: number, high: number, count: number): number {
  if (count >= 64) {
    c.valueHigh = high;
    return low;
  }
  if (count >= 32) {
    c.valueHigh = count === 32 ? 0 : high & ((1 << (count - 32)) - 1);
    return low;
  }
  c.valueHigh = 0;
  return low & ((1 << count) - 1);
}

const bextr: Wide = (c, aLow, aHigh, bLow) => {
  const start = bLow & 0xff;
  const low = start >= 64 ? 0 : shiftRight(c, aLow, aHigh, start);
  return keep(c, low, start >= 64 ? 0 : c.valueHigh, (bLow >>> 8) & 0xff);
};

const bzhi: Wide = (c, aLow, aHigh, bLow) => keep(c, aLow, aHigh, bLow & 0xff);
const bzhiCarry: Carry = (_low, _high, bLow, _bHigh, size) => ((bLow & 0xff) > size * 8 - 1 ? 1 : 0);

/** Operands: destination, source, mask. */
const pdep: Wide = (c, low, high, maskLow, maskHigh, size) => {
  let resultLow = 0;
  let resultHigh = 0;
  let from = 0;
  for (let n = 0; n < size * 8; n++) {
    if (bitOf(maskLow, maskHigh, n) === 0) continue;
    if (n < 32) resultLow |= bitOf(low, high, from) << n;
    else resultHigh |= bitOf(low, high, from) << (n - 32);
    from += 1;
  }
  c.valueHigh = resultHigh;
  return resultLow;
};

const pext: Wide = (c, low, high, maskLow, maskHigh, size) => {
  let resultLow = 0;
  let resultHigh = 0;
  let to = 0;
  for (let n = 0; n < size * 8; n++) {
    if (bitOf(maskLow, maskHigh, n) === 0) continue;
    const bit = bitOf(low, high, n);
    resultLow |= to < 32 ? bit << to : 0;
    resultHigh |= to < 32 ? 0 : bit << (to - 32);
    to += 1;
  }
  c.valueHigh = resultHigh;
  return resultLow;
};

/** adcx adds CF and leaves only CF behind, adox the same with OF. */
function addCarry(isOverflow: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const loadA = loadOf(target);
    const loadB = loadOf(value(operands[1]));
    const store = storeOf(target);
    const isWide = target.size === 8;
    return (c) => {
      const bLow = loadB(c);
      const bHigh = c.valueHigh;
      const aLow = loadA(c);
      const aHigh = c.valueHigh;
      const r = c.words;
      const of = getOF(r);
      const cf = getCF(r);
      const sum = (aLow >>> 0) + (bLow >>> 0) + (isOverflow ? of : cf);
      const carry = sum > 0xffff_ffff ? 1 : 0;
      const sumHigh = (aHigh >>> 0) + (bHigh >>> 0) + carry;
      const out = isWide ? (sumHigh > 0xffff_ffff ? 1 : 0) : carry;
      r[FLAG_CARRY] = isOverflow ? carryVector(cf, out) : carryVector(out, of);
      store(c, sum | 0, sumHigh | 0);
    };
  };
}

export const BMI_FORMS: readonly Form[] = [
  {
    name: 'andn',
    encoding: 'vex.0f38.np f2 /r',
    operands: 'Gy By Ey',
    build: bmi(andn, NO_CARRY),
    undefinedFlags: 'ap',
  },
  {
    name: 'bextr',
    encoding: 'vex.0f38.np f7 /r',
    operands: 'Gy Ey By',
    build: bmi(bextr, NO_CARRY),
    undefinedFlags: 'sap',
  },
  { name: 'blsr', encoding: 'vex.0f38.np f3 /1', operands: 'By Ey', build: bmi(blsr, isZero), undefinedFlags: 'ap' },
  {
    name: 'blsmsk',
    encoding: 'vex.0f38.np f3 /2',
    operands: 'By Ey',
    build: bmi(blsmsk, isZero),
    undefinedFlags: 'ap',
  },
  { name: 'blsi', encoding: 'vex.0f38.np f3 /3', operands: 'By Ey', build: bmi(blsi, isNotZero), undefinedFlags: 'ap' },
  {
    name: 'bzhi',
    encoding: 'vex.0f38.np f5 /r',
    operands: 'Gy Ey By',
    build: bmi(bzhi, bzhiCarry),
    undefinedFlags: 'ap',
  },
  { name: 'pdep', encoding: 'vex.0f38.f2 f5 /r', operands: 'Gy By Ey', build: bmiPlain(pdep) },
  { name: 'pext', encoding: 'vex.0f38.f3 f5 /r', operands: 'Gy By Ey', build: bmiPlain(pext) },
  { name: 'adcx', encoding: '66 0f 38 f6 /r', operands: 'Gy Ey', build: addCarry(false) },
  { name: 'adox', encoding: 'f3 0f 38 f6 /r', operands: 'Gy Ey', build: addCarry(true) },
];
