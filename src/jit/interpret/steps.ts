import { type BpfCode, type Insn, ISA, immediate64, jumpTarget } from '../bpf/index.ts';
import { aluOperation, atomicOperation, comparison, signExtend, swapBytes } from './arithmetic.ts';
import { callFunction, callHelper, exit } from './calls.ts';
import { functionAddress, type Machine, type Step, stop } from './machine.ts';

type Of<K extends Insn['meaning']['kind']> = Insn['meaning'] & { readonly kind: K };

const dstOf = (code: BpfCode, slot: number): number => code.dst[slot] as number;
const srcOf = (code: BpfCode, slot: number): number => code.src[slot] as number;
const read = (machine: Machine, register: number): bigint => machine.regs[register] as bigint;
/** The immediate, sign-extended to 64 bits. */
const immediate = (machine: Machine, slot: number): bigint =>
  BigInt.asUintN(64, BigInt(machine.code.imm[slot] as number));
const address = (machine: Machine, register: number, slot: number): bigint =>
  BigInt.asUintN(64, read(machine, register) + BigInt(machine.code.off[slot] as number));

const operand =
  (from: 'imm' | 'reg') =>
  (machine: Machine, slot: number): bigint =>
    from === 'imm' ? immediate(machine, slot) : read(machine, srcOf(machine.code, slot));

function alu({ op, width, from }: Of<'alu'>): Step {
  const operation = aluOperation(op, width);
  const right = operand(from);
  return (machine, slot) => {
    const dst = dstOf(machine.code, slot);
    machine.regs[dst] = operation(read(machine, dst), right(machine, slot));
    return slot + 1;
  };
}

/** An instruction that computes the destination from one value. */
const unary =
  (value: (machine: Machine, slot: number) => bigint): Step =>
  (machine, slot) => {
    machine.regs[dstOf(machine.code, slot)] = value(machine, slot);
    return slot + 1;
  };

function swap({ op, size }: Of<'swap'>): Step {
  return unary((machine, slot) => {
    const value = BigInt.asUintN(size, read(machine, dstOf(machine.code, slot)));
    return op === 'le' ? value : swapBytes(size, value);
  });
}

function load({ size, isSigned, isProbe }: Of<'load'>): Step {
  return (machine, slot) => {
    const at = address(machine, srcOf(machine.code, slot), slot);
    const found = machine.memory.load(at, size / 8) ?? (isProbe ? 0n : undefined);
    if (found === undefined) return stop(machine, 'load', at);
    machine.regs[dstOf(machine.code, slot)] = isSigned ? signExtend(size, 64, found) : found;
    return slot + 1;
  };
}

function store({ size, from }: Of<'store'>): Step {
  const value = operand(from);
  return (machine, slot) => {
    const at = address(machine, dstOf(machine.code, slot), slot);
    const isStored = machine.memory.store(at, size / 8, BigInt.asUintN(size, value(machine, slot)));
    return isStored ? slot + 1 : stop(machine, 'store', at);
  };
}

function atomic({ op, width, isFetch }: Of<'atomic'>): Step {
  const operation = atomicOperation(op, width);
  return (machine, slot) => {
    const at = address(machine, dstOf(machine.code, slot), slot);
    const before = machine.memory.load(at, width / 8);
    if (before === undefined) return stop(machine, 'load', at);
    const src = srcOf(machine.code, slot);
    const isKept = op === 'cmpxchg' && before !== BigInt.asUintN(width, read(machine, 0));
    const after = isKept ? before : operation(before, read(machine, src));
    if (!machine.memory.store(at, width / 8, after)) return stop(machine, 'store', at);
    if (isFetch) machine.regs[op === 'cmpxchg' ? 0 : src] = before;
    return slot + 1;
  };
}

function jump({ op, width, from }: Of<'jump'>): Step {
  const holds = comparison(op, width);
  const right = operand(from);
  return (machine, slot) =>
    holds(read(machine, dstOf(machine.code, slot)), right(machine, slot))
      ? slot + 1 + (machine.code.off[slot] as number)
      : slot + 1;
}

function call({ callee }: Of<'call'>): Step {
  switch (callee) {
    case 'helper':
      return (machine, slot) => callHelper(machine, slot, machine.code.imm[slot] as number);
    case 'register':
      return (machine, slot) => callHelper(machine, slot, Number(read(machine, dstOf(machine.code, slot))));
    case 'function':
      return callFunction;
    case 'kfunc':
      return (machine) => stop(machine, 'not-loaded');
  }
}

/** Numbers and functions of the program; anything else has to be resolved before a program runs. */
function loadImmediate({ is }: Of<'ld-imm64'>): Step {
  if (is !== 'number' && is !== 'function') return (machine) => stop(machine, 'not-loaded');
  const value = (code: BpfCode, slot: number): bigint =>
    is === 'number' ? immediate64(code, slot) : functionAddress(slot + 1 + (code.imm[slot] as number));
  return (machine, slot) => {
    machine.regs[dstOf(machine.code, slot)] = value(machine.code, slot);
    return slot + 2;
  };
}

function stepOf({ meaning }: Insn): Step {
  switch (meaning.kind) {
    case 'alu':
      return alu(meaning);
    case 'mov': {
      const value = operand(meaning.from);
      return unary((machine, slot) => BigInt.asUintN(meaning.width, value(machine, slot)));
    }
    case 'movsx':
      return unary((machine, slot) =>
        signExtend(meaning.size, meaning.width, read(machine, srcOf(machine.code, slot))),
      );
    case 'neg':
      return unary((machine, slot) => BigInt.asUintN(meaning.width, -read(machine, dstOf(machine.code, slot))));
    case 'swap':
      return swap(meaning);
    case 'load':
      return load(meaning);
    case 'store':
      return store(meaning);
    case 'atomic':
      return atomic(meaning);
    case 'jump':
      return jump(meaning);
    case 'ja':
      return (machine, slot) => jumpTarget(machine.code, slot) as number;
    case 'call':
      return call(meaning);
    case 'ld-imm64':
      return loadImmediate(meaning);
    case 'exit':
      return exit;
    case 'nospec':
      return (_, slot) => slot + 1;
    case 'tail-call':
      return (machine) => stop(machine, 'not-loaded');
  }
}

/** What each instruction does, by its place in ISA. */
export const STEPS: readonly Step[] = ISA.map(stepOf);
