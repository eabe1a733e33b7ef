/**
 * Exchanges that compare or add. With or without lock they are atomic here: CPUs take turns between whole instructions.
 */
import { generalProtection } from '../fault.ts';
import { readFlags, writeStatusFlags } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import {
  loadForWriteOf,
  loadOf,
  type MemoryOperand,
  type Op,
  type RegisterOperand,
  storeBackOf,
  storeOf,
} from '../operand.ts';
import { FLAG_ZERO, RAX, RBX, RCX, RDX, ZF } from '../registers.ts';
import { wide } from '../wide.ts';
import { place, value } from './alu.ts';
import { ADD, CMP } from './alu-ops.ts';

const SHIFT = { 1: 24, 2: 16, 4: 0, 8: 0 } as const;

/** The destination is stored to in either case, with what it held when the comparison failed (SDM vol. 2, CMPXCHG). */
function cmpxchg({ operands }: Instruction): Op {
  const target = place(operands[0]);
  const { size } = target;
  const accumulator: RegisterOperand = { kind: 'register', size, index: 0 };
  const loadAccumulator = loadOf(accumulator);
  const storeAccumulator = storeOf(accumulator);
  const load = loadForWriteOf(target);
  const loadSource = loadOf(value(operands[1]));
  const store = storeBackOf(target);
  return (c) => {
    const low = load(c);
    const high = c.valueHigh;
    const expected = loadAccumulator(c);
    if (size === 8) CMP.wide(c, expected, c.valueHigh, low, high);
    else CMP.narrow(c.words, expected, low, SHIFT[size]);
    if (c.words[FLAG_ZERO] === 0) {
      const source = loadSource(c);
      store(c, source, c.valueHigh);
      return;
    }
    // A failed comparison does not touch a destination register's upper half.
    if (target.kind === 'memory') store(c, low, high);
    storeAccumulator(c, low, high);
  };
}

function setZF(r: Int32Array, isZero: boolean): void {
  writeStatusFlags(r, isZero ? readFlags(r) | ZF : readFlags(r) & ~ZF);
}

/** cmpxchg8b and cmpxchg16b: pairs edx:eax and ecx:ebx, or rdx:rax and rcx:rbx. */
function cmpxchgPair({ operands, size }: Instruction): Op {
  const { address } = place(operands[0]) as MemoryOperand;
  return size === 8 ? cmpxchg16b(address) : cmpxchg8b(address);
}

function cmpxchg8b(address: MemoryOperand['address']): Op {
  return (c) => {
    const { words, space } = c;
    address(c);
    space.checkWrite(c.addressHigh, c.addressLow, 8);
    const low = space.read64(c.addressHigh, c.addressLow);
    const { high } = space;
    const isEqual = low === words[RAX] && high === words[RDX];
    if (isEqual) space.write64(c.addressHigh, c.addressLow, words[RCX] ?? 0, words[RBX] ?? 0);
    else {
      space.write64(c.addressHigh, c.addressLow, high, low);
      words[RAX] = low;
      words[RDX] = high;
      words[RAX + 1] = words[RDX + 1] = 0;
    }
    setZF(words, isEqual);
  };
}

function cmpxchg16b(address: MemoryOperand['address']): Op {
  return (c) => {
    const { words, space } = c;
    address(c);
    const at = c.addressLow;
    const atHigh = c.addressHigh;
    if (at & 15) throw generalProtection('cmpxchg16b needs 16-byte alignment', wide(atHigh, at));
    space.checkWrite(atHigh, at, 16);
    const low = space.read64(atHigh, at);
    const lowTop = space.high;
    const high = space.read64(atHigh, at + 8);
    const highTop = space.high;
    const isEqual =
      low === words[RAX] && lowTop === words[RAX + 1] && high === words[RDX] && highTop === words[RDX + 1];
    if (isEqual) {
      space.write64(atHigh, at, words[RBX + 1] ?? 0, words[RBX] ?? 0);
      space.write64(atHigh, at + 8, words[RCX + 1] ?? 0, words[RCX] ?? 0);
    } else {
      space.write64(atHigh, at, lowTop, low);
      space.write64(atHigh, at + 8, highTop, high);
      words[RAX] = low;
      words[RAX + 1] = lowTop;
      words[RDX] = high;
      words[RDX + 1] = highTop;
    }
    setZF(words, isEqual);
  };
}

/** The sum goes to the destination behind the exchange, so that `xadd %eax,%eax` doubles. */
function xadd({ operands }: Instruction): Op {
  const target = place(operands[0]);
  const other = place(operands[1]);
  const { size } = target;
  const load = loadForWriteOf(target);
  const loadOther = loadOf(other);
  const store = storeBackOf(target);
  const storeOther = storeOf(other);
  return (c) => {
    const low = load(c);
    const high = c.valueHigh;
    const addend = loadOther(c);
    const sum =
      size === 8 ? ADD.wide(c, low, high, addend, c.valueHigh) : ADD.narrow(c.words, low, addend, SHIFT[size]);
    const sumHigh = c.valueHigh;
    storeOther(c, low, high);
    store(c, sum, sumHigh);
  };
}

export const ATOMIC_FORMS: readonly Form[] = [
  { name: 'cmpxchg', encoding: '0f b0 /r', operands: 'Eb Gb', build: cmpxchg, lock: true },
  { name: 'cmpxchg', encoding: '0f b1 /r', operands: 'Ev Gv', build: cmpxchg, lock: true },
  { name: 'cmpxchg8b', encoding: '0f c7 /1 w0', operands: 'Mq', build: cmpxchgPair, lock: true },
  { name: 'cmpxchg16b', encoding: '0f c7 /1 w1', operands: 'Mq', build: cmpxchgPair, lock: true },
  { name: 'xadd', encoding: '0f c0 /r', operands: 'Eb Gb', build: xadd, lock: true },
  { name: 'xadd', encoding: '0f c1 /r', operands: 'Ev Gv', build: xadd, lock: true },
];
