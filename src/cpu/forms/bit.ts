/** Bit tests, scans and counts. Flags that are undefined behind them stay as they were. */
import type { Cpu } from '../cpu.ts';
import { carryVector, getOF } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import {
  loadForWriteOf,
  loadOf,
  type MemoryOperand,
  type Op,
  type Operand,
  type Place,
  READ_AT,
  storeBackOf,
  storeOf,
  WRITE_AT,
} from '../operand.ts';
import { FLAG_AUX, FLAG_CARRY, FLAG_PARITY, FLAG_SIGN, FLAG_ZERO } from '../registers.ts';
import { carryOf } from '../wide.ts';
import { place, value } from './alu.ts';

type Change = 'none' | 'set' | 'reset' | 'complement';

function changed(word: number, mask: number, change: Change): number {
  if (change === 'set') return word | mask;
  return change === 'reset' ? word & ~mask : word ^ mask;
}

function setCF(r: Int32Array, cf: number): void {
  r[FLAG_CARRY] = carryVector(cf, getOF(r));
}

/** Tests bit `n` of a value of two words and stores it changed. */
function testBit(
  c: Cpu,
  low: number,
  high: number,
  n: number,
  change: Change,
  store: ReturnType<typeof storeBackOf>,
): void {
  const mask = 1 << (n & 31);
  const isHigh = n >= 32;
  const bit = ((isHigh ? high : low) >>> (n & 31)) & 1;
  if (change !== 'none') {
    if (isHigh) store(c, low, changed(high, mask, change));
    else store(c, changed(low, mask, change), high);
  }
  setCF(c.words, bit);
}

function bitTest(change: Change): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const by = value(operands[1]);
    if (target.kind === 'memory' && by.kind === 'register') return bitString(target, by, change);
    const loadBit = loadOf(by);
    const load = change === 'none' ? loadOf(target) : loadForWriteOf(target);
    const store = storeBackOf(target);
    const mask = target.size * 8 - 1;
    return (c) => {
      const n = loadBit(c) & mask;
      const low = load(c);
      testBit(c, low, c.valueHigh, n, change, store);
    };
  };
}

/** A bit in memory numbered by a register may lie anywhere: the number is signed, and the operand's units count from the address (SDM vol. 2, BT). */
function bitString(target: MemoryOperand, by: Operand, change: Change): Op {
  const { size, address } = target;
  const loadBit = loadOf(by);
  const read = READ_AT[size];
  const write = WRITE_AT[size];
  const bits = size * 8;
  const unit = size === 8 ? 6 : size === 4 ? 5 : 4;
  return (c) => {
    const raw = loadBit(c);
    const signed = size === 2 ? (raw << 16) >> 16 : raw;
    const high = size === 8 ? c.valueHigh : signed >> 31;
    // (number >> unit) * size, as a pair of words: what is left of the number without its low bits, an eighth of it.
    const offset = ((signed & -bits) >>> 3) | (high << 29);
    const offsetHigh = high >> 3;
    address(c);
    const before = c.addressLow;
    c.addressLow = (before + offset) | 0;
    c.addressHigh = (c.addressHigh + offsetHigh + carryOf(before, offset, c.addressLow)) | 0;
    if (change !== 'none') c.space.checkWrite(c.addressHigh, c.addressLow, size);
    const low = read(c);
    testBit(c, low, c.valueHigh, signed & ((1 << unit) - 1), change, write);
  };
}

/** Place of the lowest one of a word that is not 0. */
const lowest = (word: number): number => 31 - Math.clz32(word & -word);

const trailing = (low: number, high: number): number => (low !== 0 ? lowest(low) : high !== 0 ? 32 + lowest(high) : 64);

/** With a source of 0 the destination stays as it was (AMD documents it, Intel's processors do it). */
function scan(isReverse: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const load = loadOf(value(operands[1]));
    const store = storeOf(target);
    const isWide = target.size === 8;
    return (c) => {
      const low = load(c);
      const high = isWide ? c.valueHigh : 0;
      const isZero = (low | high) === 0;
      c.words[FLAG_ZERO] = isZero ? 0 : 1;
      if (isZero) return;
      const reverse = high !== 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(low);
      store(c, isReverse ? reverse : trailing(low, high), 0);
    };
  };
}

function count(isLeading: boolean): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const load = loadOf(value(operands[1]));
    const store = storeOf(target);
    const bits = target.size * 8;
    return (c) => {
      const low = load(c);
      const high = bits === 64 ? c.valueHigh : 0;
      const leading =
        bits === 64 && high === 0 ? 32 + Math.clz32(low) : bits === 64 ? Math.clz32(high) : Math.clz32(low) - 32 + bits;
      const result = isLeading ? leading : Math.min(trailing(low, high), bits);
      c.words[FLAG_ZERO] = result;
      setCF(c.words, result === bits ? 1 : 0);
      store(c, result, 0);
    };
  };
}

function ones(word: number): number {
  let n = word - ((word >>> 1) & 0x5555_5555);
  n = (n & 0x3333_3333) + ((n >>> 2) & 0x3333_3333);
  return Math.imul((n + (n >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function popcnt({ operands }: Instruction): Op {
  const target = place(operands[0]);
  const load = loadOf(value(operands[1]));
  const store = storeOf(target);
  const isWide = target.size === 8;
  return (c) => {
    const low = load(c);
    const result = ones(low) + (isWide ? ones(c.valueHigh) : 0);
    const r = c.words;
    r[FLAG_ZERO] = result;
    r[FLAG_CARRY] = r[FLAG_SIGN] = r[FLAG_AUX] = 0;
    r[FLAG_PARITY] = 1;
    store(c, result, 0);
  };
}

const swap = (word: number): number => (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/** A 16-bit bswap has no defined result; processors clear the register. */
function bswap({ operands, size }: Instruction): Op {
  const target = place(operands[0]);
  const load = loadOf(target);
  const store = storeOf(target);
  return (c) => {
    const low = load(c);
    if (size === 8) store(c, swap(c.valueHigh), swap(low));
    else store(c, size === 4 ? swap(low) : 0, 0);
  };
}

function movbe(to: Operand | undefined, from: Operand | undefined): Op {
  const target: Place = place(to);
  const load = loadOf(value(from));
  const store = storeOf(target);
  const { size } = target;
  return (c) => {
    const low = load(c);
    if (size === 8) store(c, swap(c.valueHigh), swap(low));
    else store(c, size === 4 ? swap(low) : swap(low) >>> 16, 0);
  };
}

/** CRC-32C (polynomial 0x11EDC6F41), reflected. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1;
  return crc;
});

function crcBytes(crc: number, word: number, bytes: number): number {
  let result = crc;
  for (let i = 0; i < bytes; i++) result = (result >>> 8) ^ (CRC_TABLE[(result ^ (word >>> (8 * i))) & 0xff] ?? 0);
  return result;
}

function crc32({ operands }: Instruction): Op {
  const target = place(operands[0]);
  const from = value(operands[1]);
  const load = loadOf(from);
  const loadCrc = loadOf(target);
  const store = storeOf(target);
  const { size } = from;
  return (c) => {
    const low = load(c);
    const high = c.valueHigh;
    const crc = crcBytes(loadCrc(c), low, Math.min(size, 4));
    store(c, size === 8 ? crcBytes(crc, high, 4) : crc, 0);
  };
}

const bt = (name: string, change: Change, opcode: string, digit: number): readonly Form[] => {
  const lockable: { readonly lock?: true } = change === 'none' ? {} : { lock: true };
  const shared = { name, build: bitTest(change), undefinedFlags: 'osap', ...lockable };
  return [
    { ...shared, encoding: `0f ${opcode} /r`, operands: 'Ev Gv' },
    { ...shared, encoding: `0f ba /${digit}`, operands: 'Ev Ib' },
  ];
};

export const BIT_FORMS: readonly Form[] = [
  ...bt('bt', 'none', 'a3', 4),
  ...bt('bts', 'set', 'ab', 5),
  ...bt('btr', 'reset', 'b3', 6),
  ...bt('btc', 'complement', 'bb', 7),
  { name: 'bsf', encoding: '0f bc /r', operands: 'Gv Ev', build: scan(false), undefinedFlags: 'osapc' },
  { name: 'bsr', encoding: '0f bd /r', operands: 'Gv Ev', build: scan(true), undefinedFlags: 'osapc' },
  { name: 'tzcnt', encoding: 'f3 0f bc /r', operands: 'Gv Ev', build: count(false), undefinedFlags: 'osap' },
  { name: 'lzcnt', encoding: 'f3 0f bd /r', operands: 'Gv Ev', build: count(true), undefinedFlags: 'osap' },
  { name: 'popcnt', encoding: 'f3 0f b8 /r', operands: 'Gv Ev', build: popcnt },
  { name: 'bswap', encoding: '0f c8+r', operands: 'Zv', build: bswap },
  { name: 'movbe', encoding: '0f 38 f0 /r', operands: 'Gv Mv', build: ({ operands: [to, from] }) => movbe(to, from) },
  { name: 'movbe', encoding: '0f 38 f1 /r', operands: 'Mv Gv', build: ({ operands: [to, from] }) => movbe(to, from) },
  { name: 'crc32', encoding: 'f2 0f 38 f0 /r', operands: 'Gy Eb', build: crc32 },
  { name: 'crc32', encoding: 'f2 0f 38 f1 /r', operands: 'Gy Ev', build: crc32 },
];
