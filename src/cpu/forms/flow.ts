import { PREFIX_ADDRESS_SIZE } from '../../insn/index.ts';
import { addToPair } from '../cpu.ts';
import { HALTED, INT3 } from '../exit.ts';
import { invalidOpcode } from '../fault.ts';
import { condition, getCF } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { loadOf, type Op } from '../operand.ts';
import { FLAG_ZERO, RAX, RCX, RIP, RSP } from '../registers.ts';
import { value } from './alu.ts';
import { pop64, push64 } from './move.ts';

/** Where a branch goes when its target is in the instruction. */
function target({ operands }: Instruction): { readonly high: number; readonly low: number } {
  const to = value(operands[0]);
  return to.kind === 'immediate' ? to : { high: 0, low: 0 };
}

function jmp(instruction: Instruction): Op {
  const { high, low } = target(instruction);
  return ({ words }) => {
    words[RIP] = low;
    words[RIP + 1] = high;
  };
}

function call(instruction: Instruction): Op {
  const { high, low } = target(instruction);
  const { nextHigh, nextLow } = instruction;
  return (c) => {
    push64(c, nextLow, nextHigh);
    c.words[RIP] = low;
    c.words[RIP + 1] = high;
  };
}

function jmpIndirect({ operands }: Instruction): Op {
  const load = loadOf(value(operands[0]));
  return (c) => {
    c.words[RIP] = load(c);
    c.words[RIP + 1] = c.valueHigh;
  };
}

function callIndirect({ operands, nextHigh, nextLow }: Instruction): Op {
  const load = loadOf(value(operands[0]));
  return (c) => {
    const low = load(c);
    const high = c.valueHigh;
    push64(c, nextLow, nextHigh);
    c.words[RIP] = low;
    c.words[RIP + 1] = high;
  };
}

const ret = (): Op => (c) => {
  c.words[RIP] = pop64(c);
  c.words[RIP + 1] = c.space.high;
};

/** `ret imm16`: the arguments that it drops are behind the return address. */
function retPop({ operands }: Instruction): Op {
  const dropped = value(operands[0]);
  const bytes = dropped.kind === 'immediate' ? dropped.low & 0xffff : 0;
  return (c) => {
    c.words[RIP] = pop64(c);
    c.words[RIP + 1] = c.space.high;
    addToPair(c.words, RSP, bytes);
  };
}

/** loop, loope, loopne: %rcx is counted down and flags stay. `wants`: what ZF must be as well. */
function loop(wants: boolean | undefined): (instruction: Instruction) => Op {
  return (instruction) => {
    const { high, low } = target(instruction);
    const { nextHigh, nextLow, insn } = instruction;
    const is32 = (insn.prefixes & PREFIX_ADDRESS_SIZE) !== 0;
    return ({ words }) => {
      if (is32) {
        words[RCX] = (words[RCX] ?? 0) - 1;
        words[RCX + 1] = 0;
      } else addToPair(words, RCX, -1);
      const isLeft = words[RCX] !== 0 || words[RCX + 1] !== 0;
      const isTaken = isLeft && (wants === undefined || (words[FLAG_ZERO] === 0) === wants);
      words[RIP] = isTaken ? low : nextLow;
      words[RIP + 1] = isTaken ? high : nextHigh;
    };
  };
}

function jrcxz(instruction: Instruction): Op {
  const { high, low } = target(instruction);
  const { nextHigh, nextLow, insn } = instruction;
  const is32 = (insn.prefixes & PREFIX_ADDRESS_SIZE) !== 0;
  return ({ words }) => {
    const isTaken = words[RCX] === 0 && (is32 || words[RCX + 1] === 0);
    words[RIP] = isTaken ? low : nextLow;
    words[RIP + 1] = isTaken ? high : nextHigh;
  };
}

/** The conditions that compilers use most are read without a switch. */
function jcc(instruction: Instruction): Op {
  const { high, low } = target(instruction);
  const { nextHigh, nextLow, insn } = instruction;
  const cc = insn.condition ?? 0;
  const go = (words: Int32Array, isTaken: boolean): void => {
    words[RIP] = isTaken ? low : nextLow;
    words[RIP + 1] = isTaken ? high : nextHigh;
  };
  switch (cc) {
    case 2:
      return ({ words }) => go(words, getCF(words) === 1);
    case 3:
      return ({ words }) => go(words, getCF(words) === 0);
    case 4:
      return ({ words }) => go(words, words[FLAG_ZERO] === 0);
    case 5:
      return ({ words }) => go(words, words[FLAG_ZERO] !== 0);
    default:
      return ({ words }) => go(words, condition(words, cc));
  }
}

/** %rip behind the instruction, then the exit. */
function leaving(exit: (words: Int32Array) => NonNullable<Parameters<Op>[0]['exit']>): (i: Instruction) => Op {
  return ({ nextHigh, nextLow }) =>
    (c) => {
      c.words[RIP] = nextLow;
      c.words[RIP + 1] = nextHigh;
      c.exit = exit(c.words);
    };
}

function intN({ operands, nextHigh, nextLow }: Instruction): Op {
  const number = value(operands[0]);
  const vector = number.kind === 'immediate' ? number.low & 0xff : 0;
  return (c) => {
    c.words[RIP] = nextLow;
    c.words[RIP + 1] = nextHigh;
    c.exit = { kind: 'trap', vector, cause: 'int' };
  };
}

const ud = (name: string) => (): Op => (): never => {
  throw invalidOpcode(name);
};

const nop = (): Op => () => undefined;

const ENDS_A_PROCESS = 'a process does not survive it';

const CC = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];

export const FLOW_FORMS: readonly Form[] = [
  { name: 'jmp', encoding: 'eb', operands: 'Jb', build: jmp, ends: true },
  { name: 'jmp', encoding: 'e9', operands: 'Jz', build: jmp, ends: true },
  { name: 'jmp', encoding: 'ff /4', operands: 'Eq', build: jmpIndirect, ends: true },
  { name: 'call', encoding: 'e8', operands: 'Jz', build: call, ends: true },
  { name: 'call', encoding: 'ff /2', operands: 'Eq', build: callIndirect, ends: true },
  { name: 'ret', encoding: 'c3', operands: '', build: ret, ends: true },
  { name: 'ret', encoding: 'c2', operands: 'Iw', build: retPop, ends: true },
  { name: 'loopne', encoding: 'e0', operands: 'Jb', build: loop(false), ends: true },
  { name: 'loope', encoding: 'e1', operands: 'Jb', build: loop(true), ends: true },
  { name: 'loop', encoding: 'e2', operands: 'Jb', build: loop(undefined), ends: true },
  { name: 'jrcxz', encoding: 'e3', operands: 'Jb', build: jrcxz, ends: true },
  ...CC.flatMap((cc, n): Form[] => [
    { name: `j${cc}`, encoding: (0x70 + n).toString(16), operands: 'Jb', build: jcc, ends: true },
    { name: `j${cc}`, encoding: `0f ${(0x80 + n).toString(16)}`, operands: 'Jz', build: jcc, ends: true },
  ]),
  { name: 'int3', encoding: 'cc', operands: '', build: leaving(() => INT3), ends: true, notCompared: ENDS_A_PROCESS },
  { name: 'int', encoding: 'cd', operands: 'Ib', build: intN, ends: true, notCompared: ENDS_A_PROCESS },
  { name: 'hlt', encoding: 'f4', operands: '', build: leaving(() => HALTED), ends: true, notCompared: ENDS_A_PROCESS },
  {
    name: 'vmcall',
    encoding: '0f 01 c1',
    operands: '',
    build: leaving((words) => ({ kind: 'hypercall', number: words[RAX] ?? 0 })),
    ends: true,
    notCompared: ENDS_A_PROCESS,
  },
  { name: 'ud2', encoding: '0f 0b', operands: '', build: ud('ud2'), ends: true, notCompared: ENDS_A_PROCESS },
  { name: 'ud1', encoding: '0f b9 /r', operands: 'Gv Ev', build: ud('ud1'), ends: true, notCompared: ENDS_A_PROCESS },
  { name: 'ud0', encoding: '0f ff /r', operands: 'Gv Ev', build: ud('ud0'), ends: true, notCompared: ENDS_A_PROCESS },
  { name: 'nop', encoding: '0f 1f /r', operands: 'Ev', build: nop },
  // Hint nops: endbr64 is f3 0f 1e fa.
  ...[0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e].map(
    (op): Form => ({ name: 'nop', encoding: `0f ${op.toString(16)} /r`, operands: 'Ev', build: nop }),
  ),
];
