import { addToPair } from '../cpu.ts';
import { addressParts, effectiveAddress } from '../effective-address.ts';
import { FaultSignal } from '../fault.ts';
import { readFlags, writeFlags } from '../flags.ts';
import type { Form, Instruction } from '../form.ts';
import { loadForWriteOf, loadOf, type Op, type Place, type RegisterOperand, storeBackOf, storeOf } from '../operand.ts';
import { FLAG_REST, RBP, RIP, RSP } from '../registers.ts';
import { carryOf } from '../wide.ts';
import { place, value } from './alu.ts';

/** 64-bit loads and stores at displacement(%base), the commonest of all moves. */
function simpleMove(to: Place, from: Place): Op | undefined {
  if (to.size !== 8) return undefined;
  if (from.kind === 'memory' && from.simple !== undefined && to.kind === 'register') {
    const { base, displacement } = from.simple;
    const high = displacement >> 31;
    const { index } = to;
    return (c) => {
      const { words, space } = c;
      const b = words[base] ?? 0;
      const low = (b + displacement) | 0;
      const value = space.read64(((words[base + 1] ?? 0) + high + carryOf(b, displacement, low)) | 0, low);
      words[index] = value;
      words[index + 1] = space.high;
    };
  }
  if (to.kind === 'memory' && to.simple !== undefined && from.kind === 'register') {
    const { base, displacement } = to.simple;
    const high = displacement >> 31;
    const { index } = from;
    return (c) => {
      const { words } = c;
      const b = words[base] ?? 0;
      const low = (b + displacement) | 0;
      const addressHigh = ((words[base + 1] ?? 0) + high + carryOf(b, displacement, low)) | 0;
      c.space.write64(addressHigh, low, words[index + 1] ?? 0, words[index] ?? 0);
    };
  }
  if (to.kind === 'register' && from.kind === 'register') {
    const { index } = to;
    const source = from.index;
    return ({ words }) => {
      words[index] = words[source] ?? 0;
      words[index + 1] = words[source + 1] ?? 0;
    };
  }
  return undefined;
}

function mov({ operands }: Instruction): Op {
  const to = place(operands[0]);
  const from = value(operands[1]);
  const simple = from.kind === 'immediate' ? undefined : simpleMove(to, from);
  if (simple !== undefined) return simple;
  const load = loadOf(from);
  const store = storeOf(to);
  return (c) => {
    const low = load(c);
    store(c, low, c.valueHigh);
  };
}

function movzx({ operands }: Instruction): Op {
  const load = loadOf(value(operands[1]));
  const store = storeOf(place(operands[0]));
  return (c) => store(c, load(c), 0);
}

function movsx({ operands }: Instruction): Op {
  const from = value(operands[1]);
  const load = loadOf(from);
  const store = storeOf(place(operands[0]));
  const shift = from.size === 1 ? 24 : from.size === 2 ? 16 : 0;
  return (c) => {
    const low = (load(c) << shift) >> shift;
    store(c, low, low >> 31);
  };
}

function lea({ operands, insn, nextHigh, nextLow }: Instruction): Op {
  const { rex } = insn;
  const parts = addressParts(insn, nextHigh, nextLow, (rex >> 1) & 1, rex & 1);
  const address = effectiveAddress(parts, false);
  const store = storeOf(place(operands[0]));
  return (c) => {
    address(c);
    store(c, c.addressLow, c.addressHigh);
  };
}

/** `push %rsp` pushes the value from before; a memory operand based on %rsp is addressed before, too. */
function push({ operands }: Instruction): Op {
  const from = value(operands[0]);
  const load = loadOf(from);
  if (from.size === 2)
    return (c) => {
      const low = load(c);
      const sp = ((c.words[RSP] ?? 0) - 2) | 0;
      const high = ((c.words[RSP + 1] ?? 0) - ((c.words[RSP] ?? 0) >>> 0 < 2 ? 1 : 0)) | 0;
      c.space.write16(high, sp, low);
      c.words[RSP] = sp;
      c.words[RSP + 1] = high;
    };
  return (c) => {
    const low = load(c);
    push64(c, low, c.valueHigh);
  };
}

/** Stores before %rsp moves, so that a fault leaves it. */
export function push64(c: Parameters<Op>[0], low: number, high: number): void {
  const { words } = c;
  const before = words[RSP] ?? 0;
  const sp = (before - 8) | 0;
  const spHigh = ((words[RSP + 1] ?? 0) - (before >>> 0 < 8 ? 1 : 0)) | 0;
  c.space.write64(spHigh, sp, high, low);
  words[RSP] = sp;
  words[RSP + 1] = spHigh;
}

/** The low word; the high one in `space.high`. %rsp moves only when the read did not fault. */
export function pop64(c: Parameters<Op>[0]): number {
  const { words } = c;
  const before = words[RSP] ?? 0;
  const low = c.space.read64(words[RSP + 1] ?? 0, before);
  const sp = (before + 8) | 0;
  words[RSP] = sp;
  if (sp >>> 0 < 8) words[RSP + 1] = ((words[RSP + 1] ?? 0) + 1) | 0;
  return low;
}

/** A memory destination is addressed with %rsp as it is after the pop (SDM vol. 2, POP). */
function pop({ operands }: Instruction): Op {
  const to = place(operands[0]);
  const { size } = to;
  const store = storeOf(to);
  if (to.kind === 'register' && size === 8) {
    const { index } = to;
    return (c) => {
      const low = pop64(c);
      c.words[index] = low;
      c.words[index + 1] = c.space.high;
    };
  }
  return (c) => {
    const { words, space } = c;
    const before = words[RSP] ?? 0;
    const beforeHigh = words[RSP + 1] ?? 0;
    const low = size === 2 ? space.read16(beforeHigh, before) : space.read64(beforeHigh, before);
    const high = space.high;
    addToPair(words, RSP, size);
    try {
      store(c, low, high);
    } catch (signal) {
      words[RSP] = before;
      words[RSP + 1] = beforeHigh;
      throw signal;
    }
  };
}

function leave(): Op {
  return (c) => {
    const { words, space } = c;
    const low = space.read64(words[RBP + 1] ?? 0, words[RBP] ?? 0);
    words[RSP] = words[RBP] ?? 0;
    words[RSP + 1] = words[RBP + 1] ?? 0;
    addToPair(words, RSP, 8);
    words[RBP] = low;
    words[RBP + 1] = space.high;
  };
}

/** `enter frame, 0`; nested procedures (a second operand that is not 0) are not implemented. */
function enter({ bytes }: Instruction): Op {
  const frame = (bytes[1] ?? 0) | ((bytes[2] ?? 0) << 8);
  if (((bytes[3] ?? 0) & 31) !== 0)
    return () => {
      throw new FaultSignal({ name: 'not-implemented', mnemonic: 'enter with nested procedures', bytes });
    };
  return (c) => {
    const { words } = c;
    push64(c, words[RBP] ?? 0, words[RBP + 1] ?? 0);
    words[RBP] = words[RSP] ?? 0;
    words[RBP + 1] = words[RSP + 1] ?? 0;
    addToPair(words, RSP, -frame);
  };
}

/** xchg with the accumulator; 90 without REX.B is nop, which clears no upper half either. */
function xchgAccumulator(instruction: Instruction): Op {
  const [a] = instruction.operands;
  return a?.kind === 'register' && a.index === 0 ? () => undefined : xchg(instruction);
}

/** Always locked when one operand is memory. */
function xchg({ operands }: Instruction): Op {
  const a = place(operands[0]);
  const b = place(operands[1]) as RegisterOperand;
  const loadA = loadForWriteOf(a);
  const loadB = loadOf(b);
  const storeA = storeBackOf(a);
  const storeB = storeOf(b);
  return (c) => {
    const aLow = loadA(c);
    const aHigh = c.valueHigh;
    const bLow = loadB(c);
    storeA(c, bLow, c.valueHigh);
    storeB(c, aLow, aHigh);
  };
}

/** VM and RF are pushed as 0. */
const pushf = (): Op => (c) => push64(c, readFlags(c.words) & 0xfc_ffff, 0);

/** At CPL 0 everything but RF, VM, VIF and VIP can be changed. */
const popf = (instruction: Instruction): Op => {
  const { nextHigh, nextLow } = instruction;
  return (c) => {
    const keep = (c.words[FLAG_REST] ?? 0) & 0x18_0000;
    const flags = pop64(c);
    writeFlags(c.words, (flags & 0x24_7fd5) | keep);
    c.words[RIP] = nextLow;
    c.words[RIP + 1] = nextHigh;
  };
};

export const MOVE_FORMS: readonly Form[] = [
  { name: 'mov', encoding: '88 /r', operands: 'Eb Gb', build: mov },
  { name: 'mov', encoding: '89 /r', operands: 'Ev Gv', build: mov },
  { name: 'mov', encoding: '8a /r', operands: 'Gb Eb', build: mov },
  { name: 'mov', encoding: '8b /r', operands: 'Gv Ev', build: mov },
  { name: 'mov', encoding: 'b0+r', operands: 'Zb Ib', build: mov },
  { name: 'mov', encoding: 'b8+r', operands: 'Zv Iv', build: mov },
  { name: 'mov', encoding: 'c6 /0', operands: 'Eb Ib', build: mov },
  { name: 'mov', encoding: 'c7 /0', operands: 'Ev Iv', build: mov },
  { name: 'mov', encoding: 'a0', operands: 'Ab Ob', build: mov },
  { name: 'mov', encoding: 'a1', operands: 'Av Ov', build: mov },
  { name: 'mov', encoding: 'a2', operands: 'Ob Ab', build: mov },
  { name: 'mov', encoding: 'a3', operands: 'Ov Av', build: mov },
  { name: 'movzx', encoding: '0f b6 /r', operands: 'Gv Eb', build: movzx },
  { name: 'movzx', encoding: '0f b7 /r', operands: 'Gv Ew', build: movzx },
  { name: 'movsx', encoding: '0f be /r', operands: 'Gv Eb', build: movsx },
  { name: 'movsx', encoding: '0f bf /r', operands: 'Gv Ew', build: movsx },
  { name: 'movsxd', encoding: '63 /r w1', operands: 'Gq Ed', build: movsx },
  { name: 'movsxd', encoding: '63 /r w0', operands: 'Gv Ev', build: mov },
  { name: 'lea', encoding: '8d /r', operands: 'Gv Mv', build: lea },
  { name: 'push', encoding: '50+r', operands: 'Zs', build: push },
  { name: 'push', encoding: 'ff /6', operands: 'Es', build: push },
  { name: 'push', encoding: '68', operands: 'Is', build: push },
  { name: 'push', encoding: '6a', operands: 'Is', build: push },
  { name: 'pop', encoding: '58+r', operands: 'Zs', build: pop },
  { name: 'pop', encoding: '8f /0', operands: 'Es', build: pop },
  { name: 'leave', encoding: 'c9', operands: '', build: leave },
  { name: 'xchg', encoding: '86 /r', operands: 'Eb Gb', build: xchg, lock: true },
  { name: 'xchg', encoding: '87 /r', operands: 'Ev Gv', build: xchg, lock: true },
  { name: 'xchg', encoding: '90+r', operands: 'Zv Av', build: xchgAccumulator },
  { name: 'enter', encoding: 'c8', operands: '', build: enter },
  { name: 'pushf', encoding: '9c', operands: '', build: pushf },
  { name: 'popf', encoding: '9d', operands: '', build: popf, ends: true },
];
