/**
 * How many instructions the simulated CPUs execute a second, as ratios to a minimal interpreter of a toy machine written for this comparison and
 * measured in the same run.
 *
 *   npx tsx bench/cpu.ts
 */
import { fromHex, systemClock } from '../src/base/index.ts';
import { AddressSpace, Cpu, type InstructionFetch, StaleFetch } from '../src/cpu/index.ts';

const CODE = 0xffff_ffff_8100_0000n;
const STACK = 0xffff_c900_0000_0000n;
const HEAP = 0xffff_8880_0000_0000n;
/** Short rounds, and many: the best of them is one in which nobody else had the processor. */
const BUDGET = 100_000;
const FETCHED = 10_000;
const ROUNDS = 100;

const bytes = (text: string): Uint8Array => fromHex(text.replaceAll(/\s+/g, '')) ?? new Uint8Array();

/** Each runs forever. */
const WORKLOADS: readonly { readonly name: string; readonly code: string }[] = [
  {
    // A straight run of what compilers emit most: moves, arithmetic on 32 and 64 bits, loads, stores, one branch in sixteen.
    name: 'straight run',
    code: `
      488b07 4803 4708 48894710 4889c2 48c1ea03 4831d0 89c1 83c107
      8b5718 01ca 895718 4883ee01 488d4c0e10 4839c8 480f42c1 ebcc`,
  },
  {
    // gcd(48, 36): div and a loop of six instructions.
    name: 'gcd',
    code: 'b830000000 be24000000 31d2 f7f6 89f0 89d6 85f6 75f4 ebe8',
  },
  {
    // A call with a frame, saved registers and a return.
    name: 'calls',
    code: 'e802000000 ebf9 55 4889e5 53 4883ec08 488d1c37 4889d8 4883c408 5b 5d c3',
  },
  {
    // strlen over 64 bytes: a byte load, a test and a branch.
    name: 'byte loop',
    code: '4889f8 803800 7405 48ffc0 ebf6 4829f8 ebee',
  },
];

function cpuFor(code: string, fetch?: (space: AddressSpace) => InstructionFetch): Cpu {
  const space = new AddressSpace();
  space.map({ name: 'code', start: CODE, length: 0x1000, permissions: 'r-x', initial: bytes(code) });
  space.map({ name: 'stack', start: STACK, length: 0x4000, permissions: 'rw-' });
  const string = new Uint8Array(64).fill(0x61);
  space.map({ name: 'heap', start: HEAP, length: 0x10000, permissions: 'rw-', initial: string });
  const cpu = new Cpu({ number: 0, space, ...(fetch === undefined ? {} : { fetch: fetch(space) }) });
  cpu.set('rip', CODE);
  cpu.set('rsp', STACK + 0x4000n);
  cpu.set('rdi', HEAP);
  return cpu;
}

/** Millions a second, best of the rounds: the machine is shared. The first, which compiles, is not counted. */
function rate(count: number, body: () => void): number {
  let best = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    const startUs = systemClock.monotonicUs();
    body();
    const perUs = count / (systemClock.monotonicUs() - startUs);
    if (round > 0) best = Math.max(best, perUs);
  }
  return best;
}

/** Eight 32-bit registers, six instructions, no flags, no faults: what an interpreter cannot do less than. */
function toyMachine(steps: number): number {
  const program = Int32Array.of(0, 0, 1, 0, 1, 2, 0, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 1, 6, 7, 5, 0, 0);
  const registers = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const memory = new Int32Array(1024);
  let pc = 0;
  for (let i = 0; i < steps; i++) {
    const op = program[pc] ?? 0;
    const a = program[pc + 1] ?? 0;
    const b = program[pc + 2] ?? 0;
    pc += 3;
    switch (op) {
      case 0:
        registers[a] = ((registers[a] ?? 0) + (registers[b] ?? 0)) | 0;
        break;
      case 1:
        registers[a] = (registers[a] ?? 0) ^ (registers[b] ?? 0);
        break;
      case 2:
        registers[a] = memory[(registers[b] ?? 0) & 1023] ?? 0;
        break;
      case 3:
        memory[(registers[a] ?? 0) & 1023] = registers[b] ?? 0;
        break;
      case 4:
        registers[a] = (registers[b] ?? 0) >>> 3;
        break;
      default:
        pc = 0;
    }
  }
  return registers[0] ?? 0;
}

/** The smallest fetch model: what memory holds, asked for every instruction. */
const asking = (space: AddressSpace): InstructionFetch => ({
  fetch: (_cpu, high, low, out) => space.fetch(high, low, out),
  serialised: () => undefined,
});

/** The weak model, and each workload's first instruction being replaced by int3 and put back in front of every round: all CPUs stay behind. */
function weak(space: AddressSpace): { readonly fetch: StaleFetch; readonly change: () => void } {
  const fetch = new StaleFetch({ space, model: 'weak', start: CODE, length: 0x1000, choose: () => 0 });
  const [first = 0] = space.peek(CODE, 1) ?? [];
  const store = (from: number, to: number): void => {
    space.poke(CODE, Uint8Array.of(to));
    fetch.stored(0, Uint8Array.of(from), Uint8Array.of(to));
  };
  return {
    fetch,
    change: () => {
      store(first, 0xcc);
      store(0xcc, first);
    },
  };
}

function report(name: string, perUs: number, base: number): void {
  console.log(`${name.padEnd(44)} ${perUs.toFixed(1).padStart(8)} M/s ${(perUs / base).toFixed(3).padStart(8)} x`);
}

function runAll(cpu: Cpu, name: string, budget: number): void {
  const exit = cpu.run(budget);
  if (exit.kind !== 'budget') throw new Error(`${name}: ${JSON.stringify(exit, (_, v) => String(v))}`);
}

const base = rate(BUDGET, () => void toyMachine(BUDGET));
report('toy interpreter, hand-written', base, base);
for (const { name, code } of WORKLOADS) {
  const cpu = cpuFor(code);
  report(
    name,
    rate(BUDGET, () => runAll(cpu, name, BUDGET)),
    base,
  );
}
for (const { name, code } of WORKLOADS) {
  const cpu = cpuFor(code, asking);
  report(
    `${name}, through a fetch model`,
    rate(FETCHED, () => runAll(cpu, name, FETCHED)),
    base,
  );
}
for (const { name, code } of WORKLOADS) {
  let change = (): void => undefined;
  const cpu = cpuFor(code, (space) => {
    const model = weak(space);
    change = model.change;
    return model.fetch;
  });
  report(
    `${name}, weak fetch, text changing`,
    rate(FETCHED, () => {
      change();
      runAll(cpu, name, FETCHED);
    }),
    base,
  );
}
