/**
 * Goal: whole simulated CPUs, with registers, stacks and memory, come through text that is poked under them: they execute nothing but what was meant, and each call
 * runs what was attached throughout exactly once. Method: the real generators and int3 handlers, CPUs behind StaleFetch, all stepped by one generator of
 * chance. The explorer tries all orders of less; this tries some orders of everything. A canary leaves out a sync.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock, type Prng, seededPrng, toHex } from '../../src/base/index.ts';
import { AddressSpace, Cpu, type FetchModelName, StaleFetch } from '../../src/cpu/index.ts';
import { readScenario } from '../../src/explore/index.ts';
import { buildText, layOut, pokeEntry } from '../../src/explore/scenario/layout.ts';
import {
  type KernelText,
  type PokeInt3Answer,
  type PokePhase,
  pokeInt3Handler,
  putPokeVector,
  TextMutex,
  type TextMutexHeld,
  textPokeBpBatch,
  tryGetPokeVector,
} from '../../src/textpoke/index.ts';

const TEXT = 0xffff_ffff_8100_0000n;
const STACKS = 0xffff_c900_0000_0000n;
const DATA = 0xffff_8880_0000_0000n;
const BOTTOM = 0xffff_ffff_ffff_0000n;
const PAGE = 0x1000n;
const F = 0x103d;
const SITE = 5;
const CPUS = 3;
const STEPS = 1_500;

/** f: the site, across two lines, and a return. The trampoline saves a register and calls a program that counts at (%rdi). */
const LAYOUT = layOut(
  readScenario({
    name: 'whole-cpus',
    about: '',
    fetch: 'weak',
    text: [
      { name: 'f', at: '0x103d', code: ['nop5', '31c0', 'ret'] },
      { name: 'tramp', at: 'arena+0x100', code: ['50', 'call prog', '58', 'ret'] },
      { name: 'prog', at: '0x2000', code: ['48ff07', 'ret'] },
    ],
    patchers: [{ do: [{ op: 'poke', pokes: [{ at: 'f', to: ['call tramp'] }] }] }],
    cpus: [{ run: 'f', times: 'forever' }],
  }),
);

interface Runner {
  readonly cpu: Cpu;
  /** In an int3 handler, with a reference to the vector. */
  answer: PokeInt3Answer | undefined;
  isPending: boolean;
  /** Of the call: how often the program had run, and how often attaching had begun or ended, when it began. */
  before: bigint;
  epoch: number;
}

class Wrong extends Error {}

class Machine {
  readonly text: KernelText;
  readonly #held: TextMutexHeld;
  readonly #random: Prng;
  readonly #space = new AddressSpace();
  readonly #fetch: StaleFetch;
  readonly #runners: Runner[] = [];
  readonly #isDropped: (phase: PokePhase) => boolean;
  #phases: Generator<PokePhase, unknown, undefined> | undefined;
  #phase: PokePhase | undefined;
  /** Even: the site is what it is for all; odd: between. `epoch & 2`: attached. */
  #epoch = 0;
  calls = 0;
  traps = 0;
  stale = 0;

  constructor(held: TextMutexHeld, model: FetchModelName, random: Prng, isDropped: (phase: PokePhase) => boolean) {
    this.#held = held;
    this.#random = random;
    this.#isDropped = isDropped;
    this.text = buildText(LAYOUT, held);
    const space = this.#space;
    space.mapText('text', TEXT, this.text);
    space.map({ name: 'data', start: DATA, length: Number(PAGE), permissions: 'rw-' });
    const choose = (_: Cpu, alternatives: number): number => {
      const index = random.below(alternatives);
      if (index > 0) this.stale++;
      return index;
    };
    this.#fetch = new StaleFetch({ space, model, start: TEXT, length: 0x7000_0000, choose });
    for (let number = 0; number < CPUS; number++) {
      const start = STACKS + BigInt(number) * 2n * PAGE;
      space.map({ name: `stack of CPU ${number}`, start, length: Number(PAGE), permissions: 'rw-' });
      const cpu = new Cpu({ number, space, fetch: this.#fetch });
      cpu.sentinel = BOTTOM;
      cpu.set('rdi', DATA + BigInt(64 * number));
      const runner = { cpu, answer: undefined, isPending: false, before: 0n, epoch: 0 };
      this.#runners.push(runner);
      this.#call(runner);
    }
  }

  step(): void {
    const actor = this.#random.below(CPUS + 1);
    const runner = this.#runners[actor];
    if (runner === undefined) this.#patch();
    else this.#run(runner);
  }

  #call(runner: Runner): void {
    const { cpu } = runner;
    cpu.set('rsp', STACKS + BigInt(cpu.number) * 2n * PAGE + PAGE);
    assert.ok(cpu.push(BOTTOM));
    cpu.set('rip', TEXT + BigInt(F));
    runner.before = this.#count(cpu);
    runner.epoch = this.#epoch;
  }

  #count({ number }: Cpu): bigint {
    return Buffer.from(this.#space.peek(DATA + BigInt(64 * number), 8) ?? []).readBigUInt64LE();
  }

  /** One store, or a look at whether a sync is over. */
  #patch(): void {
    const phase = this.#phase;
    if (phase?.kind === 'sync' && this.#runners.some(({ isPending }) => isPending)) return;
    if (phase?.kind === 'unpublish' && this.text.pokeVector.refs > 0) return;
    if (this.#phases === undefined) {
      const isAttached = (this.#epoch & 2) !== 0;
      const nop = pokeEntry(LAYOUT, { at: 'f', to: ['nop5'] });
      const call = pokeEntry(LAYOUT, { at: 'f', to: ['call tramp'] });
      const entry = isAttached ? { ...nop, expected: call.bytes } : { ...call, expected: nop.bytes };
      this.#phases = textPokeBpBatch(this.#held, this.text, [entry]);
      this.#epoch++;
    }
    const before = this.text.bytes(F as never, SITE);
    const next = this.#phases.next();
    this.#tell(before, this.text.bytes(F as never, SITE));
    this.#phase = next.done === true ? undefined : next.value;
    if (next.done === true) {
      this.#phases = undefined;
      this.#epoch++;
    } else if (next.value.kind === 'sync' && !this.#isDropped(next.value))
      for (const runner of this.#runners) runner.isPending = true;
  }

  #tell(before: Uint8Array, after: Uint8Array): void {
    const changed = [...after.keys()].filter((i) => before[i] !== after[i]);
    const [from] = changed;
    const to = (changed.at(-1) ?? -1) + 1;
    if (from !== undefined) this.#fetch.stored(F + from, before.subarray(from, to), after.subarray(from, to));
  }

  #run(runner: Runner): void {
    const { cpu } = runner;
    if (runner.answer !== undefined) this.#leaveHandler(runner, runner.answer);
    else if (runner.isPending && this.#random.below(2) === 0) {
      runner.isPending = false;
      cpu.serialise('ipi');
    } else this.#execute(runner);
  }

  #execute(runner: Runner): void {
    const { cpu } = runner;
    const exit = cpu.step();
    if (exit.kind === 'returned') {
      this.#over(runner);
      this.#call(runner);
    } else if (exit.kind === 'trap') this.#enterHandler(runner);
    else if (exit.kind !== 'budget')
      throw new Wrong(
        `${exit.kind} at 0x${cpu.get('rip').toString(16)}, site ${toHex(this.text.bytes(F as never, SITE))}`,
      );
  }

  #enterHandler(runner: Runner): void {
    this.traps++;
    const ip = Number(runner.cpu.get('rip') - TEXT);
    const vector = tryGetPokeVector(this.text);
    if (vector === undefined) throw new Wrong(`nobody knows the int3 at ${ip - 1}`);
    runner.answer = pokeInt3Handler(this.text.pokeVector, ip);
  }

  #leaveHandler(runner: Runner, answer: PokeInt3Answer): void {
    const { cpu } = runner;
    putPokeVector(this.text);
    runner.answer = undefined;
    if (answer.kind === 'call') assert.ok(cpu.push(TEXT + BigInt(answer.returnTo)));
    else if (answer.kind !== 'jmp') throw new Wrong(`the handler answers ${answer.kind}`);
    cpu.set('rip', TEXT + BigInt(answer.target));
    cpu.serialise('trap');
  }

  /** A call has returned. */
  #over({ cpu, before, epoch }: Runner): void {
    this.calls++;
    const ran = this.#count(cpu) - before;
    const wasSettled = (epoch & 1) === 0 && epoch === this.#epoch;
    const wanted = (epoch & 2) !== 0 ? 1n : 0n;
    if (ran > 1n || (wasSettled && ran !== wanted)) throw new Wrong(`the program ran ${ran} times, epoch ${epoch}`);
    if (cpu.get('rax') !== 0n) throw new Wrong('a register is lost');
  }
}

interface Ran {
  readonly wrong: string | undefined;
  readonly calls: number;
  readonly traps: number;
  readonly stale: number;
}

async function torture(seed: number, model: FetchModelName, isDropped: (phase: PokePhase) => boolean): Promise<Ran> {
  const mutex = new TextMutex({ clock: new ManualClock() });
  const run = await mutex.run({ client: 'test', what: 'whole CPUs' }, (held): Ran => {
    const machine = new Machine(held, model, seededPrng(seed), isDropped);
    const result = (wrong: string | undefined): Ran => {
      const { calls, traps, stale } = machine;
      return { wrong, calls, traps, stale };
    };
    try {
      for (let i = 0; i < STEPS; i++) machine.step();
      return result(undefined);
    } catch (error) {
      if (error instanceof Wrong) return result(error.message);
      throw error;
    }
  });
  assert.ok(run.ok);
  return run.value;
}

const none = (): boolean => false;
const SEEDS = 60;

describe('whole CPUs under pokes', () => {
  for (const model of ['weak', 'quad', 'line', 'sc'] as const) {
    it(`execute what was meant under ${model}`, async () => {
      let [calls, traps, stale] = [0, 0, 0];
      for (let seed = 1; seed <= SEEDS; seed++) {
        const ran = await torture(seed, model, none);
        assert.equal(ran.wrong, undefined, `replay: torture(${seed}, '${model}', none)`);
        calls += ran.calls;
        traps += ran.traps;
        stale += ran.stale;
      }
      assert.ok(calls > 1_000 && traps > 300, `${calls} calls, ${traps} traps`);
      assert.equal(stale > 100, model !== 'sc', `${stale} stale fetches`);
    });
  }

  it('the same seed is the same run', async () => {
    assert.deepEqual(await torture(7, 'weak', none), await torture(7, 'weak', none));
  });

  for (const after of ['int3', 'tail', 'first'] as const) {
    it(`are told from those that miss the sync after ${after}`, async () => {
      const isDropped = (phase: PokePhase): boolean => phase.kind === 'sync' && phase.after === after;
      let found: string | undefined;
      for (let seed = 1; seed <= SEEDS && found === undefined; seed++)
        found = (await torture(seed, 'weak', isDropped)).wrong;
      assert.notEqual(found, undefined);
    });
  }
});
