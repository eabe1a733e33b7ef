/**
 * String operations. A repeated one does as many elements at a time as `cpu.stringLimit` allows, and stays on %rip until it is done: interrupts can
 * come between elements, and a fault leaves %rcx, %rsi and %rdi at the element that faulted. Each element counts as one instruction.
 */

import { PREFIX_ADDRESS_SIZE, PREFIX_FS, PREFIX_GS, PREFIX_REP, PREFIX_REPNE } from '../../insn/index.ts';
import { addToPair, type Cpu } from '../cpu.ts';
import { FaultSignal } from '../fault.ts';
import type { Form, Instruction } from '../form.ts';
import { type Op, READ_AT, type Size, WRITE_AT } from '../operand.ts';
import { DF, FLAG_REST, FLAG_ZERO, FS_BASE, GS_BASE, RAX, RCX, RDI, RIP, RSI } from '../registers.ts';
import { carryOf } from '../wide.ts';
import { CMP } from './alu-ops.ts';

/** One element; `step` is its size, negative with DF. */
type Element = (c: Cpu, step: number) => void;

const SHIFT = { 1: 24, 2: 16, 4: 0, 8: 0 } as const;

/** %rsi, in the segment that the instruction names (%es, of %rdi, cannot be changed and has no base). */
function atRsi(segment: number): (c: Cpu) => void {
  return (c) => {
    const { words } = c;
    c.addressLow = words[RSI] ?? 0;
    c.addressHigh = words[RSI + 1] ?? 0;
    if (segment < 0) return;
    const base = words[segment] ?? 0;
    const sum = (c.addressLow + base) | 0;
    c.addressHigh = (c.addressHigh + (words[segment + 1] ?? 0) + carryOf(c.addressLow, base, sum)) | 0;
    c.addressLow = sum;
  };
}

function atRdi(c: Cpu): void {
  c.addressLow = c.words[RDI] ?? 0;
  c.addressHigh = c.words[RDI + 1] ?? 0;
}

function movs(size: Size, segment: number): Element {
  const source = atRsi(segment);
  return (c, step) => {
    source(c);
    const low = READ_AT[size](c);
    const high = c.valueHigh;
    atRdi(c);
    WRITE_AT[size](c, low, high);
    addToPair(c.words, RSI, step);
    addToPair(c.words, RDI, step);
  };
}

function stos(size: Size): Element {
  return (c, step) => {
    atRdi(c);
    WRITE_AT[size](c, c.words[RAX] ?? 0, c.words[RAX + 1] ?? 0);
    addToPair(c.words, RDI, step);
  };
}

function lods(size: Size, segment: number): Element {
  const source = atRsi(segment);
  return (c, step) => {
    source(c);
    const low = READ_AT[size](c);
    if (size === 1) c.bytes[0] = low;
    else if (size === 2) c.halves[0] = low;
    else {
      c.words[RAX] = low;
      c.words[RAX + 1] = size === 8 ? c.valueHigh : 0;
    }
    addToPair(c.words, RSI, step);
  };
}

function compare(c: Cpu, size: Size, low: number, high: number, otherLow: number, otherHigh: number): void {
  if (size === 8) CMP.wide(c, low, high, otherLow, otherHigh);
  else CMP.narrow(c.words, low, otherLow, SHIFT[size]);
}

function cmps(size: Size, segment: number): Element {
  const source = atRsi(segment);
  return (c, step) => {
    source(c);
    const low = READ_AT[size](c);
    const high = c.valueHigh;
    atRdi(c);
    const other = READ_AT[size](c);
    compare(c, size, low, high, other, c.valueHigh);
    addToPair(c.words, RSI, step);
    addToPair(c.words, RDI, step);
  };
}

function scas(size: Size): Element {
  return (c, step) => {
    atRdi(c);
    const other = READ_AT[size](c);
    const raw = c.words[RAX] ?? 0;
    const low = size === 1 ? raw & 0xff : size === 2 ? raw & 0xffff : raw;
    compare(c, size, low, c.words[RAX + 1] ?? 0, other, c.valueHigh);
    addToPair(c.words, RDI, step);
  };
}

/** @param comparing the operation compares: it goes on while ZF is 1 (repe) or 0 (repne) */
function string(
  element: (size: Size, segment: number) => Element,
  comparing: boolean,
  isByte: boolean,
): (instruction: Instruction) => Op {
  return (instruction) => {
    const { insn, nextHigh, nextLow } = instruction;
    if (insn.prefixes & PREFIX_ADDRESS_SIZE) return unsupported(instruction);
    const size = isByte ? 1 : instruction.size;
    const segment = insn.prefixes & PREFIX_GS ? GS_BASE : insn.prefixes & PREFIX_FS ? FS_BASE : -1;
    const one = element(size, segment);
    const isRepeated = (insn.prefixes & (PREFIX_REP | PREFIX_REPNE)) !== 0;
    const wantsZero = (insn.prefixes & PREFIX_REP) !== 0;
    const leave = (words: Int32Array): void => {
      words[RIP] = nextLow;
      words[RIP + 1] = nextHigh;
    };
    const stepOf = (words: Int32Array): number => ((words[FLAG_REST] ?? 0) & DF ? -size : size);
    if (!isRepeated)
      return (c) => {
        one(c, stepOf(c.words));
        leave(c.words);
      };
    return (c) => {
      const { words } = c;
      const step = stepOf(words);
      const limit = c.stringLimit;
      let done = 0;
      c.extra = 0;
      while ((words[RCX] ?? 0) !== 0 || (words[RCX + 1] ?? 0) !== 0) {
        if (done === limit) {
          words[RIP] = instruction.low;
          words[RIP + 1] = instruction.high;
          return;
        }
        c.extra = done;
        one(c, step);
        addToPair(words, RCX, -1);
        done += 1;
        if (comparing && (words[FLAG_ZERO] === 0) !== wantsZero) break;
      }
      leave(words);
    };
  };
}

function unsupported({ form, bytes }: Instruction): Op {
  return () => {
    throw new FaultSignal({ name: 'not-implemented', mnemonic: `${form.name} with an address-size prefix`, bytes });
  };
}

function pair(
  name: string,
  opcode: number,
  element: (size: Size, segment: number) => Element,
  comparing = false,
): readonly Form[] {
  const hex = (value: number): string => value.toString(16);
  return [
    { name, encoding: hex(opcode), operands: '', build: string(element, comparing, true), ends: true },
    { name, encoding: hex(opcode + 1), operands: '', build: string(element, comparing, false), ends: true },
  ];
}

export const STRING_FORMS: readonly Form[] = [
  ...pair('movs', 0xa4, movs),
  ...pair('cmps', 0xa6, cmps, true),
  ...pair('stos', 0xaa, stos),
  ...pair('lods', 0xac, lods),
  ...pair('scas', 0xae, scas, true),
];
