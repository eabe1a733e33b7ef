/**
 * Schedules a second on the small protocol model, as a ratio to a loop written by hand for the same protocol: one five-byte site, two CPUs that run
 * through it once, no interrupts, every choice by the same generator of chance.
 *
 *   npx tsx bench/explore.ts
 */
import { readFileSync } from 'node:fs';
import { type Prng, seededPrng, systemClock } from '../src/base/index.ts';
import { readScenario, SampleSearch, uniform, World } from '../src/explore/index.ts';
import { TextMutex } from '../src/textpoke/index.ts';

/** Short rounds, and many: the machine is shared, and the best of them is one in which nobody else had the processor. */
const SCHEDULES = 1_000;
const ROUNDS = 200;

/** The least that still is the protocol: phases, syncs, and what each CPU may see of byte 0. Answers how many steps the run took. */
function handWritten(random: Prng): number {
  let phase = 0;
  let pending = 0;
  const cpus = [0, 0];
  const sees = [1, 1];
  let steps = 0;
  for (;;) {
    const choices: number[] = [];
    const isWaiting = (phase === 2 || phase === 4 || phase === 6) && pending !== 0;
    if (phase < 9 && !isWaiting) choices.push(0);
    for (let c = 0; c < 2; c++) {
      if ((cpus[c] ?? 0) < 5) choices.push(1 + c);
      if (((pending >> c) & 1) === 1 && (cpus[c] ?? 0) < 2) choices.push(3 + c);
    }
    if (choices.length === 0) return steps;
    const choice = choices[random.below(choices.length)] ?? 0;
    steps++;
    if (choice === 0) {
      phase++;
      if (phase === 1) for (let c = 0; c < 2; c++) sees[c] = (sees[c] ?? 0) | 2;
      if (phase === 5) for (let c = 0; c < 2; c++) sees[c] = (sees[c] ?? 0) | 4;
      if (phase === 2 || phase === 4 || phase === 6)
        for (let c = 0; c < 2; c++) if ((cpus[c] ?? 0) < 5) pending |= 1 << c;
    } else if (choice >= 3) {
      pending &= ~(1 << (choice - 3));
      sees[choice - 3] = phase >= 5 ? 4 : phase >= 1 ? 2 : 1;
    } else {
      const c = choice - 1;
      const isTrap = cpus[c] === 1 && ((sees[c] ?? 0) & 2) !== 0 && random.below(2) === 0;
      cpus[c] = cpus[c] === 1 && !isTrap ? 4 : (cpus[c] ?? 0) + 1;
      if (cpus[c] === 5) pending &= ~(1 << c);
    }
  }
}

const best = (values: readonly number[]): number => Math.min(...values);

function time(body: () => void): number {
  const startUs = systemClock.monotonicUs();
  body();
  return (systemClock.monotonicUs() - startUs) / 1_000_000;
}

const file = new URL('../examples/explorations/int3-call.json', import.meta.url);
const read = readScenario(JSON.parse(readFileSync(file, 'utf8')));
const scenario = { ...read, cpus: read.cpus.map(({ run, times }) => ({ run, times })) };
const mutex = new TextMutex({ clock: systemClock });
const run = await mutex.run({ client: 'bench', what: 'explore' }, (held) => {
  const world = new World({ held, scenario });
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    theirs.push(
      time(() => {
        for (let i = 0; i < SCHEDULES; i++) handWritten(seededPrng(i));
      }),
    );
    ours.push(
      time(() => {
        const search = new SampleSearch(world, uniform, { seed: round * SCHEDULES, schedules: SCHEDULES });
        while (search.advance(1_000_000) === undefined);
      }),
    );
  }
  return { ours: SCHEDULES / best(ours), theirs: SCHEDULES / best(theirs) };
});
if (!run.ok) throw new Error(run.fault.detail);
const { ours, theirs } = run.value;
process.stdout.write(
  `int3 protocol, two CPUs: ${Math.round(ours)} schedules a second; a loop written by hand ${Math.round(theirs)}, ${(theirs / ours).toFixed(1)} times as many\n`,
);
