/**
 * `npm run explore -- FILE|NAME [--mutant NAME] [--fetch MODEL] [--strategy exhaustive|breadth|random|pct] [--seed N] [--schedules N]
 * [--replay SCHEDULE] [--max-states N] [--max-seconds N] [--unreduced]`: one scenario, explored in this process. Exit status 0: holds; 1: violated; 4: a
 * bound was reached or it was stopped, and nothing was found up to there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/base/index.ts';
import { FETCH_MODELS, type FetchModelName } from '../src/cpu/index.ts';
import { type Exploration, explore, MUTANTS, readScenario, type Strategy } from '../src/explore/index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mutant: { type: 'string' },
    fetch: { type: 'string' },
    strategy: { type: 'string', default: 'exhaustive' },
    seed: { type: 'string', default: '1' },
    schedules: { type: 'string', default: '100000' },
    replay: { type: 'string' },
    'max-states': { type: 'string', default: '20000000' },
    'max-seconds': { type: 'string', default: '1800' },
    unreduced: { type: 'boolean', default: false },
  },
});

function strategyOf(): Strategy {
  const sample = { seed: Number(values.seed), schedules: Number(values.schedules) };
  if (values.replay !== undefined) return { kind: 'replay', schedule: values.replay };
  switch (values.strategy) {
    case 'exhaustive':
      return { kind: 'exhaustive' };
    case 'breadth':
      return { kind: 'exhaustive', order: 'breadth' };
    case 'random':
      return { kind: 'random', ...sample };
    case 'pct':
      return { kind: 'pct', changes: 3, ...sample };
    default:
      throw new Error(`no strategy ${values.strategy}`);
  }
}

function print(name: string, result: Exploration): void {
  const { outcome, figures, elapsedMs, violation, trace } = result;
  const seconds = (elapsedMs / 1000).toFixed(1);
  process.stdout.write(
    `${name}: ${outcome}${result.isExhaustive ? ', for every schedule' : ''}${result.bound === undefined ? '' : ` (${result.bound})`}; ` +
      `${figures.states} states, ${figures.steps} steps, ${figures.schedules} schedules, ${seconds} s\n`,
  );
  if (violation !== undefined) process.stdout.write(`${violation.property}: ${violation.detail}\n`);
  for (const { actor, what } of trace?.steps ?? []) process.stdout.write(`  ${actor} ${what}\n`);
  const mutant = values.mutant === undefined ? '' : ` --mutant ${values.mutant}`;
  const fetch = values.fetch === undefined ? '' : ` --fetch ${values.fetch}`;
  if (violation !== undefined)
    process.stdout.write(
      `replay: npm run explore -- ${name}${mutant}${fetch} --replay ${result.shrunk ?? result.schedule}\n`,
    );
}

const [name = ''] = positionals;
const file = existsSync(name) ? name : `examples/explorations/${name}.json`;
const read = readScenario(JSON.parse(readFileSync(file, 'utf8')));
const fetch = values.fetch as FetchModelName | undefined;
if (fetch !== undefined && !FETCH_MODELS.includes(fetch)) throw new Error(`no fetch model ${fetch}`);
const mutant = values.mutant === undefined ? undefined : MUTANTS.get(values.mutant);
if (values.mutant !== undefined && mutant === undefined) throw new Error(`no mutant ${values.mutant}`);
let isStopped = false;
process.once('SIGINT', () => {
  isStopped = true;
});
let nextMs = 1000;
const startUs = systemClock.monotonicUs();
const result = await explore(
  {
    scenario: fetch === undefined ? read : { ...read, fetch },
    ...(mutant === undefined ? {} : { mutation: mutant.mutation }),
    strategy: strategyOf(),
    maxMs: Number(values['max-seconds']) * 1000,
    maxStates: Number(values['max-states']),
    isUnreduced: values.unreduced,
  },
  {
    clock: systemClock,
    isStopped: () => isStopped,
    onProgress: ({ states, schedules }) => {
      const ms = (systemClock.monotonicUs() - startUs) / 1000;
      if (ms < nextMs) return;
      nextMs = ms + 1000;
      process.stderr.write(`${Math.round(ms / 1000)} s: ${states} states, ${schedules} schedules\n`);
    },
  },
);
print(name, result);
process.exitCode = result.outcome === 'holds' ? 0 : result.outcome === 'violated' ? 1 : 4;
