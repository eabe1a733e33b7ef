import { condition } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { loadForWriteOf, loadOf, type Op, type Operand, type Place, storeBackOf, storeOf } from '../operand.ts';
import {
  ADC,
  ADD,
  type AluOp,
  AND,
  CMP,
  DEC,
  INC,
  NEG,
  NOT,
  OR,
  SBB,
  SUB,
  TEST,
  type UnaryOp,
  XOR,
} from './alu-ops.ts';

export const place = (operand: Operand | undefined): Place => {
  if (operand === undefined || operand.kind === 'immediate') throw new TypeError('the form table names a place here');
  return operand;
};
export const value = (operand: Operand | undefined): Operand => {
  if (operand === undefined) throw new TypeError('the form table names an operand here');
  return operand;
};

const SHIFT = { 1: 24, 2: 16, 4: 0, 8: 0 } as const;

/** 64 bits, register and register or immediate: by far the most frequent, so without indirection. */
function wideRegister(op: AluOp, destination: number, source: Operand): Op | undefined {
  const { wide, writes } = op;
  if (source.kind === 'immediate') {
    const { low, high } = source;
    if (!writes)
      return (c) => {
        wide(c, c.words[destination] ?? 0, c.words[destination + 1] ?? 0, low, high);
      };
    return (c) => {
      c.words[destination] = wide(c, c.words[destination] ?? 0, c.words[destination + 1] ?? 0, low, high);
      c.words[destination + 1] = c.valueHigh;
    };
  }
  if (source.kind === 'memory') return undefined;
  const from = source.index;
  if (!writes)
    return (c) => {
      wide(c, c.words[destination] ?? 0, c.words[destination + 1] ?? 0, c.words[from] ?? 0, c.words[from + 1] ?? 0);
    };
  return (c) => {
    const { words } = c;
    words[destination] = wide(
      c,
      words[destination] ?? 0,
      words[destination + 1] ?? 0,
      words[from] ?? 0,
      words[from + 1] ?? 0,
    );
    words[destination + 1] = c.valueHigh;
  };
}

function narrowRegister(op: AluOp, destination: number, source: Operand): Op | undefined {
  const { narrow, writes } = op;
  if (source.kind === 'immediate') {
    const { low } = source;
    if (!writes)
      return (c) => {
        narrow(c.words, c.words[destination] ?? 0, low, 0);
      };
    return (c) => {
      c.words[destination] = narrow(c.words, c.words[destination] ?? 0, low, 0);
      c.words[destination + 1] = 0;
    };
  }
  if (source.kind === 'memory') return undefined;
  const from = source.index;
  if (!writes)
    return (c) => {
      narrow(c.words, c.words[destination] ?? 0, c.words[from] ?? 0, 0);
    };
  return (c) => {
    c.words[destination] = narrow(c.words, c.words[destination] ?? 0, c.words[from] ?? 0, 0);
    c.words[destination + 1] = 0;
  };
}

/** `op source,destination` of any size and any operands. */
function aluOp(op: AluOp, destination: Place, source: Operand): Op {
  const { narrow, wide, writes } = op;
  const { size } = destination;
  if (destination.kind === 'register' && size >= 4) {
    const fast = (size === 8 ? wideRegister : narrowRegister)(op, destination.index, source);
    if (fast !== undefined) return fast;
  }
  const loadSource = loadOf(source);
  const load = writes ? loadForWriteOf(destination) : loadOf(destination);
  const store = storeBackOf(destination);
  // The source comes first: when it is memory, the destination is a register, and when the destination is memory its address must stay.
  if (size === 8)
    return (c) => {
      const low = loadSource(c);
      const high = c.valueHigh;
      const result = wide(c, load(c), c.valueHigh, low, high);
      if (writes) store(c, result, c.valueHigh);
    };
  const shift = SHIFT[size];
  return (c) => {
    const from = loadSource(c);
    const result = narrow(c.words, load(c), from, shift);
    if (writes) store(c, result, 0);
  };
}

const alu =
  (op: AluOp) =>
  ({ operands }: Instruction): Op =>
    aluOp(op, place(operands[0]), value(operands[1]));

/** The six encodings of an arithmetic row of the opcode map, and its three immediates. */
function row(name: string, base: number, digit: number, op: AluOp): readonly Form[] {
  const hex = (offset: number): string => (base + offset).toString(16).padStart(2, '0');
  const build = alu(op);
  const lockable: { readonly lock?: true } = op.writes ? { lock: true } : {};
  const undefinedFlags = op.undefinedFlags === undefined ? {} : { undefinedFlags: op.undefinedFlags };
  const shared = { name, build, ...undefinedFlags };
  return [
    { ...shared, ...lockable, encoding: `${hex(0)} /r`, operands: 'Eb Gb' },
    { ...shared, ...lockable, encoding: `${hex(1)} /r`, operands: 'Ev Gv' },
    { ...shared, encoding: `${hex(2)} /r`, operands: 'Gb Eb' },
    { ...shared, encoding: `${hex(3)} /r`, operands: 'Gv Ev' },
    { ...shared, encoding: hex(4), operands: 'Ab Ib' },
    { ...shared, encoding: hex(5), operands: 'Av Iv' },
    { ...shared, ...lockable, encoding: `80 /${digit}`, operands: 'Eb Ib' },
    { ...shared, ...lockable, encoding: `81 /${digit}`, operands: 'Ev Iv' },
    { ...shared, ...lockable, encoding: `83 /${digit}`, operands: 'Ev Iv' },
  ];
}

function unary(op: UnaryOp): (instruction: Instruction) => Op {
  return ({ operands }) => {
    const target = place(operands[0]);
    const load = loadForWriteOf(target);
    const store = storeBackOf(target);
    if (target.size === 8)
      return (c) => {
        const result = op.wide(c, load(c), c.valueHigh);
        store(c, result, c.valueHigh);
      };
    const shift = SHIFT[target.size];
    return (c) => store(c, op.narrow(c.words, load(c), shift), 0);
  };
}

function setcc({ operands, insn }: Instruction): Op {
  const store = storeOf(place(operands[0]));
  const cc = insn.opcode2 & 15;
  return (c) => store(c, condition(c.words, cc) ? 1 : 0, 0);
}

/** The source is read whatever the condition, and a 32-bit destination loses its upper half even when nothing is moved (SDM vol. 2, CMOVcc). */
function cmovcc({ operands, insn }: Instruction): Op {
  const load = loadOf(value(operands[1]));
  const target = place(operands[0]);
  const store = storeOf(target);
  const cc = insn.opcode2 & 15;
  const { size } = target;
  const { index } = target.kind === 'register' ? target : { index: 0 };
  return (c) => {
    const low = load(c);
    if (condition(c.words, cc)) store(c, low, c.valueHigh);
    else if (size === 4) c.words[index + 1] = 0;
  };
}

const CC = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];

export const ALU_FORMS: readonly Form[] = [
  ...row('add', 0x00, 0, ADD),
  ...row('or', 0x08, 1, OR),
  ...row('adc', 0x10, 2, ADC),
  ...row('sbb', 0x18, 3, SBB),
  ...row('and', 0x20, 4, AND),
  ...row('sub', 0x28, 5, SUB),
  ...row('xor', 0x30, 6, XOR),
  ...row('cmp', 0x38, 7, CMP),
  { name: 'test', encoding: '84 /r', operands: 'Eb Gb', build: alu(TEST), undefinedFlags: 'a' },
  { name: 'test', encoding: '85 /r', operands: 'Ev Gv', build: alu(TEST), undefinedFlags: 'a' },
  { name: 'test', encoding: 'a8', operands: 'Ab Ib', build: alu(TEST), undefinedFlags: 'a' },
  { name: 'test', encoding: 'a9', operands: 'Av Iv', build: alu(TEST), undefinedFlags: 'a' },
  ...['/0', '/1'].flatMap((digit): Form[] => [
    { name: 'test', encoding: `f6 ${digit}`, operands: 'Eb Ib', build: alu(TEST), undefinedFlags: 'a' },
    { name: 'test', encoding: `f7 ${digit}`, operands: 'Ev Iv', build: alu(TEST), undefinedFlags: 'a' },
  ]),
  { name: 'inc', encoding: 'fe /0', operands: 'Eb', build: unary(INC), lock: true },
  { name: 'inc', encoding: 'ff /0', operands: 'Ev', build: unary(INC), lock: true },
  { name: 'dec', encoding: 'fe /1', operands: 'Eb', build: unary(DEC), lock: true },
  { name: 'dec', encoding: 'ff /1', operands: 'Ev', build: unary(DEC), lock: true },
  { name: 'not', encoding: 'f6 /2', operands: 'Eb', build: unary(NOT), lock: true },
  { name: 'not', encoding: 'f7 /2', operands: 'Ev', build: unary(NOT), lock: true },
  { name: 'neg', encoding: 'f6 /3', operands: 'Eb', build: unary(NEG), lock: true },
  { name: 'neg', encoding: 'f7 /3', operands: 'Ev', build: unary(NEG), lock: true },
  ...CC.flatMap((cc, n): Form[] => [
    { name: `set${cc}`, encoding: `0f ${(0x90 + n).toString(16)} /r`, operands: 'Eb', build: setcc },
    { name: `cmov${cc}`, encoding: `0f ${(0x40 + n).toString(16)} /r`, operands: 'Gv Ev', build: cmovcc },
  ]),
];
