/** Differential fuzzing of the compiler: the interpreter, the simulated CPU and the real CPU have to agree about every random program. */
import { disassembleBpf, jitBpf } from '../../../src/jit/index.ts';
import { HAS_NATIVE_CPU, type NativeCpu, startNativeCpu } from '../../support/native/native-cpu.ts';
import { type Family, randomFamily, withoutItem } from './random-program.ts';
import {
  ANY_PLACE,
  compileBatch,
  interpret,
  type Jit,
  type Outcome,
  type Place,
  prepared,
  sameOutcome,
  simulateBatch,
} from './ways.ts';

const BATCH = 200;

export interface FuzzOptions {
  readonly seed: number;
  /** Programs; tail-called ones come on top. */
  readonly runs: number;
  /** The compiler under test. */
  readonly jit?: Jit;
  /** Default: where there is one. */
  readonly usesRealCpu?: boolean;
  readonly onProgress?: (done: number) => void;
}

export interface FuzzReport {
  readonly programs: number;
  /** BPF instructions in them. */
  readonly slots: number;
  readonly ways: readonly string[];
  readonly difference?: { readonly seed: number; readonly text: string };
}

/** The ways that are there, and a real CPU that is started again when a program kills it. */
class Ways {
  readonly #jit: Jit;
  #cpu: NativeCpu | undefined;

  constructor(jit: Jit, cpu: NativeCpu | undefined) {
    this.#jit = jit;
    this.#cpu = cpu;
  }

  get place(): Place {
    const cpu = this.#cpu;
    return cpu === undefined ? ANY_PLACE : { base: cpu.base, data: cpu.dataBase };
  }

  get names(): readonly string[] {
    return ['interpreter', 'simulated CPU', ...(this.#cpu === undefined ? [] : ['real CPU'])];
  }

  /** For each family the outcome of each way; the batch as a whole has a problem when it kills the real CPU. */
  async run(families: readonly Family[]): Promise<readonly (readonly Outcome[])[]> {
    const batch = compileBatch(families, this.place, this.#jit);
    const simulated = simulateBatch(batch, this.place);
    const real = await this.#real(batch);
    return families.map((family, index) => {
      const run = batch.runs[index] as (typeof batch.runs)[number];
      const outcomes = [interpret(family, run, this.place), simulated[index] as Outcome];
      return real === undefined ? outcomes : [...outcomes, real[index] as Outcome];
    });
  }

  async #real(batch: ReturnType<typeof compileBatch>): Promise<readonly Outcome[] | undefined> {
    if (this.#cpu === undefined) return undefined;
    try {
      return await this.#cpu.execute(batch);
    } catch (error) {
      this.#cpu = await startNativeCpu();
      return batch.runs.map(() => ({ problem: String(error) }));
    }
  }

  async close(): Promise<void> {
    await this.#cpu?.close();
  }
}

const agree = (outcomes: readonly Outcome[]): boolean =>
  outcomes.every((outcome) => sameOutcome(outcomes[0] as Outcome, outcome));

/** The first family of these that differs, each by itself. */
async function firstDiffering(ways: Ways, families: readonly Family[]): Promise<Family | undefined> {
  for (const family of families) {
    const [outcomes = []] = await ways.run([family]);
    if (!agree(outcomes)) return family;
  }
  return undefined;
}

/** Leaves out items as long as the rest still differs. */
async function shrink(ways: Ways, family: Family): Promise<Family> {
  let smallest = family;
  for (const [p, functions] of family.programs.entries()) {
    for (const [f, { items }] of functions.entries()) {
      for (let item = items.length - 1; item >= 0; item--) {
        const smaller = withoutItem(smallest, p, f, item);
        const [outcomes = []] = await ways.run([smaller]);
        if (!agree(outcomes)) smallest = smaller;
      }
    }
  }
  return smallest;
}

const describeOutcome = (outcome: Outcome): string =>
  'problem' in outcome ? outcome.problem : `0x${outcome.value.toString(16).padStart(16, '0')}`;

async function describeDifference(ways: Ways, family: Family): Promise<string> {
  const smallest = await shrink(ways, family);
  const [outcomes = []] = await ways.run([smallest]);
  const listings = prepared(smallest).map(({ source }) =>
    disassembleBpf(source.code)
      .map(({ slot, text }) => `${slot}: ${text}`)
      .join('\n'),
  );
  const results = outcomes.map((outcome, index) => `${ways.names[index]}: ${describeOutcome(outcome)}`);
  const configuration = `bmi2 ${smallest.bmi2}, blinded ${smallest.isBlinded}`;
  return [...results, configuration, ...listings].join('\n');
}

export async function fuzzPrograms(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, runs, jit = jitBpf, usesRealCpu = HAS_NATIVE_CPU, onProgress } = options;
  const ways = new Ways(jit, usesRealCpu ? await startNativeCpu() : undefined);
  const { names } = ways;
  let slots = 0;
  try {
    for (let done = 0; done < runs; done += BATCH) {
      const count = Math.min(BATCH, runs - done);
      const families = Array.from({ length: count }, (_, index) => randomFamily((seed + done + index) >>> 0));
      const outcomes = await ways.run(families);
      for (const family of families) for (const { source } of prepared(family)) slots += source.code.length;
      if (!outcomes.every(agree)) {
        const suspects = families.filter((_, index) => !agree(outcomes[index] ?? []));
        const found = await firstDiffering(ways, suspects);
        const text =
          found === undefined ? 'only together with others of its batch' : await describeDifference(ways, found);
        const report = { programs: done + count, slots, ways: names };
        return { ...report, difference: { seed: (found ?? (suspects[0] as Family)).seed, text } };
      }
      onProgress?.(done + count);
    }
    return { programs: runs, slots, ways: names };
  } finally {
    await ways.close();
  }
}

const PROGRESS_EVERY = 10_000;

/** `npm run fuzz -- bpf [SEED] [PROGRAMS]`. */
export async function fuzzBpf(options: { readonly seed: number; readonly runs: number }): Promise<void> {
  const report = await fuzzPrograms({
    ...options,
    onProgress: (done) => {
      if (done % PROGRESS_EVERY === 0) process.stdout.write(`${done} programs\n`);
    },
  });
  process.stdout.write(`${report.programs} programs of ${report.slots} instructions: ${report.ways.join(' = ')}\n`);
  const { difference } = report;
  if (difference === undefined) return;
  throw new Error(
    `the ways to run a program differ\n${difference.text}\nreplay: npm run fuzz -- bpf ${difference.seed} 1`,
  );
}
