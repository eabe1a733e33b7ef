/** The three ways to run a family of programs: interpreted, and the same machine code on a simulated CPU and on the real one. */
import { type KernelAddress, kernelAddress, seededPrng, toAddress } from '../../../src/base/index.ts';
import { AddressSpace, Cpu, PAGE_SIZE } from '../../../src/cpu/index.ts';
import {
  type BpfJitCpu,
  helperRegistry,
  interpretBpf,
  jitBpf,
  type PreparedBpf,
  prepareRawBpf,
  regionMemory,
} from '../../../src/jit/index.ts';
import { IDENTITY, IDENTITY_HELPER, type NativeRun, PROGRAMS_AT } from '../../support/native/area.ts';
import { NATIVE_JIT_CPU } from '../../support/native/native-cpu.ts';
import { value } from '../../support/results.ts';
import { TAIL_CALL_HELPER } from './program-items.ts';
import { ARRAY_AT, bytecodeOf, type Family } from './random-program.ts';

/** Addresses that the machine code is made for: where `_text` would be, and the memory of a run. */
export interface Place {
  readonly base: KernelAddress;
  readonly data: bigint;
}

/** Used where no real CPU says otherwise. */
export const ANY_PLACE: Place = { base: kernelAddress(0xffff_ffff_8100_0000n), data: 0xffff_8880_0001_0000n };

/** What a run left behind; or why it did not return. */
export type Outcome = { readonly value: bigint; readonly memory: Uint8Array } | { readonly problem: string };

export type Jit = typeof jitBpf;

const MEMORY_SIZE = 1024;
/** Fields of `struct bpf_array` and `struct bpf_prog`, where our compiler is told that they are. */
const TAIL_CALL = { maxEntries: 0x24, ptrs: 0x110, bpfFunc: 0x30 } as const;
const PROG_SIZE = 0x38;
const MAX_TAIL_CALLS = 33;
const MAX_INSTRUCTIONS = 1_000_000;
const STACK = 0xffff_c900_0000_0000n;
const STACK_SIZE = 16 * PAGE_SIZE;
/** Registers that a function gives back as it found them, and what is in them before (System V ABI, 3.2.1). */
const PRESERVED = ['rbx', 'rbp', 'r12', 'r13', 'r14', 'r15'] as const;
const MARK = 0x5a5a_0000_0000_0000n;
const SENTINEL = 0xffff_dead_0000_0000n;

/** Machine code of several families, one behind the other, and what is needed to run each. */
export interface CompiledBatch {
  readonly code: Uint8Array;
  readonly runs: readonly NativeRun[];
}

export const prepared = (family: Family): readonly PreparedBpf[] =>
  family.programs.map((functions) => value(prepareRawBpf(bytecodeOf(functions))));

/** Memory of a run: the data, the prog array (one entry more than programs: an empty one), the programs' descriptors. */
function memoryOf(family: Family, place: Place, entries: readonly number[]): Uint8Array {
  const memory = new Uint8Array(MEMORY_SIZE);
  memory.set(family.data);
  const view = new DataView(memory.buffer);
  view.setUint32(ARRAY_AT + TAIL_CALL.maxEntries, entries.length + 1, true);
  const progs = ARRAY_AT + TAIL_CALL.ptrs + 8 * (entries.length + 1);
  for (const [index, entry] of entries.entries()) {
    const prog = progs + index * PROG_SIZE;
    view.setBigUint64(ARRAY_AT + TAIL_CALL.ptrs + 8 * index, place.data + BigInt(prog), true);
    view.setBigUint64(prog + TAIL_CALL.bpfFunc, toAddress(place.base, entry), true);
  }
  return memory;
}

export function compileBatch(families: readonly Family[], place: Place, jit: Jit = jitBpf): CompiledBatch {
  const pieces: Uint8Array[] = [];
  let at = PROGRAMS_AT;
  const runs = families.map((family) => {
    const cpu: BpfJitCpu = { ...NATIVE_JIT_CPU, bmi2: family.bmi2 };
    const entries = prepared(family).map((program, index) => {
      const entry = at;
      const { bytes } = value(
        jit(program, {
          at,
          base: place.base,
          cpu,
          helper: (id) => (id === IDENTITY_HELPER ? IDENTITY.at : undefined),
          tailCall: TAIL_CALL,
          ...(family.isBlinded ? { blind: seededPrng(family.seed + index) } : {}),
        }),
      );
      pieces.push(bytes);
      at += bytes.length;
      return entry;
    });
    return { entry: entries[0] as number, memory: memoryOf(family, place, entries) };
  });
  return { code: Buffer.concat(pieces), runs };
}

class TailCall extends Error {
  readonly index: number;
  constructor(index: number) {
    super('a tail call');
    this.index = index;
  }
}

/** Interprets a family: a tail call ends one program and begins another. */
export function interpret(family: Family, { memory: initial }: NativeRun, place: Place): Outcome {
  const memory = initial.slice();
  const programs = prepared(family);
  let calls = 0;
  const helpers = helperRegistry([
    { id: IDENTITY_HELPER, name: 'identity', run: ({ args }) => args[0] },
    {
      id: TAIL_CALL_HELPER,
      name: 'tail_call',

      run({ args }) {
        const index = Number(args[2] & 0xffff_ffffn);
        if (index >= programs.length || calls >= MAX_TAIL_CALLS) return 0n;
        calls += 1;
        throw new TailCall(index);
      },
    },
  ]);
  const regions = regionMemory([{ base: place.data, bytes: memory }]);
  for (let index = 0; ; ) {
    const { code } = (programs[index] as PreparedBpf).source;
    try {
      const args = [place.data, BigInt(memory.length)] as const;
      const outcome = interpretBpf({ code, args, memory: regions, helpers, maxInstructions: MAX_INSTRUCTIONS });
      return outcome.kind === 'returned' ? { value: outcome.value, memory } : { problem: JSON.stringify(outcome) };
    } catch (error) {
      if (!(error instanceof TailCall)) throw error;
      index = error.index;
    }
  }
}

/** A simulated CPU with a batch's machine code; runs share nothing but that. */
export function simulateBatch({ code, runs }: CompiledBatch, place: Place): readonly Outcome[] {
  const space = new AddressSpace();
  const initial = new Uint8Array(PROGRAMS_AT + code.length);
  initial.set(IDENTITY.bytes, IDENTITY.at);
  initial.set(code, PROGRAMS_AT);
  const length = Math.ceil(initial.length / PAGE_SIZE) * PAGE_SIZE;
  space.map({ name: 'programs', start: place.base, length, permissions: 'r-x', initial });
  space.map({ name: 'stack', start: STACK, length: STACK_SIZE, permissions: 'rw-' });
  space.map({ name: 'data', start: place.data, length: PAGE_SIZE, permissions: 'rw-' });
  const cpu = new Cpu({ number: 0, space });
  cpu.sentinel = SENTINEL;
  return runs.map(({ entry, memory }) => {
    space.poke(place.data, memory);
    cpu.set('rip', toAddress(place.base, entry));
    cpu.set('rsp', STACK + BigInt(STACK_SIZE));
    cpu.set('rdi', place.data);
    cpu.set('rsi', BigInt(memory.length));
    for (const [index, name] of PRESERVED.entries()) cpu.set(name, MARK + BigInt(index));
    cpu.push(SENTINEL);
    const exit = cpu.run(MAX_INSTRUCTIONS);
    if (exit.kind !== 'returned') return { problem: `${exit.kind} at 0x${cpu.get('rip').toString(16)}` };
    const lost = PRESERVED.find((name, index) => cpu.get(name) !== MARK + BigInt(index));
    if (lost !== undefined) return { problem: `%${lost} is not given back` };
    if (cpu.get('rsp') !== STACK + BigInt(STACK_SIZE)) return { problem: '%rsp is not where it was' };
    return { value: cpu.get('rax'), memory: (space.peek(place.data, memory.length) ?? new Uint8Array()).slice() };
  });
}

export const sameOutcome = (a: Outcome, b: Outcome): boolean =>
  !('problem' in a) && !('problem' in b) && a.value === b.value && Buffer.compare(a.memory, b.memory) === 0;
