/**
 * All ordered pairs of owner kinds at one function, attached in each order and detached in each order: what the second is answered, whether
 * every byte is accounted for at every step, whether a call of the function fires the owners that are named, in their order, and whether the
 * text is pristine when all have left.
 *
 *   tsx scripts/matrix.ts [--image PATH|builtin]... [--strictness safe|linux] [--triples] [--write]
 *
 * --image may be given several times: each kernel is decided by its own version's rules. --triples runs all ordered triples as well;
 * --write stores docs/matrix.md for both strictnesses. Exits with 1 when something is wrong.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/base/index.ts';
import { DEFAULT_PROFILE, dataRequest, type KernelImage, loadKernelImage, readImageData } from '../src/image/index.ts';
import { Machine, machineImage } from '../src/machine/index.ts';
import type { Strictness } from '../src/registry/index.ts';
import { makeLab } from './matrix/lab.ts';
import { matrixPage } from './matrix/page.ts';
import { runSets, type SetResult } from './matrix/run.ts';
import { pairTable, ruleTable, summary } from './matrix/table.ts';

const BUILTIN = fileURLToPath(new URL('../fixtures/builtin/vmlinux', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/matrix.md', import.meta.url));
const PROBLEMS_SHOWN = 40;

const { values } = parseArgs({
  options: {
    image: { type: 'string', multiple: true, default: ['builtin'] },
    strictness: { type: 'string' },
    triples: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
});

const pathOf = (name: string): string => (name === 'builtin' ? BUILTIN : name);

async function load(name: string): Promise<KernelImage> {
  const image = await loadKernelImage({
    kernel: { path: pathOf(name) },
    source: name,
    profile: DEFAULT_PROFILE,
    cacheFolder: undefined,
    onProgress: () => undefined,
    clock: systemClock,
  });
  if (!image.ok) throw new Error(`${name}: ${image.fault.detail}`);
  return image.value;
}

async function makeMachine(image: KernelImage, name: string): Promise<Machine> {
  const data = await readImageData(dataRequest(image, pathOf(name)));
  if (!data.ok) throw new Error(`${name}: ${data.fault.detail}`);
  return new Machine(machineImage(image, data.value), systemClock);
}

const seconds = (sinceUs: number): string => ((systemClock.monotonicUs() - sinceUs) / 1e6).toFixed(1);

function collect(image: KernelImage, machine: Machine, strictness: Strictness, size: number): readonly SetResult[] {
  const startUs = systemClock.monotonicUs();
  const what = `${image.release}, ${strictness}, ${size === 2 ? 'pairs' : 'triples'}`;
  const sets: SetResult[] = [];
  for (const set of runSets(makeLab(image, strictness, machine), size)) {
    sets.push(set);
    if (sets.length % 500 === 0) process.stderr.write(`${what}: ${sets.length}, ${seconds(startUs)} s\n`);
  }
  process.stderr.write(`${what}: ${sets.length} in ${seconds(startUs)} s\n`);
  return sets;
}

const problemsOf = (sets: readonly SetResult[]): readonly string[] =>
  sets.flatMap(({ owners, problems }) => {
    const names = owners.map(({ name }) => name).join(' → ');
    return problems.map((each) => `${names}: ${each}`);
  });

async function run(strictnesses: readonly Strictness[]): Promise<void> {
  const found = [];
  for (const name of values.image) {
    const image = await load(name);
    const { release } = image;
    const machine = await makeMachine(image, name);
    for (const strictness of strictnesses) {
      const pairs = collect(image, machine, strictness, 2);
      const triples = values.triples ? collect(image, machine, strictness, 3) : [];
      process.stdout.write(`## ${release}, ${strictness}\n\n${summary(pairs)}\n\n${pairTable(pairs)}\n\n`);
      if (triples.length > 0) process.stdout.write(`Triples: ${summary(triples)}\n\n${ruleTable(triples)}\n\n`);
      found.push({ release, strictness, pairs, triples });
    }
  }
  if (values.write) writeFileSync(PAGE, matrixPage(found));
  const problems = found.flatMap(({ release, pairs, triples }) =>
    [...problemsOf(pairs), ...problemsOf(triples)].map((each) => `${release}: ${each}`),
  );
  for (const problem of problems.slice(0, PROBLEMS_SHOWN)) process.stderr.write(`${problem}\n`);
  if (problems.length > PROBLEMS_SHOWN) process.stderr.write(`and ${problems.length - PROBLEMS_SHOWN} more\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

const { strictness: wanted } = values;
if (wanted !== undefined && wanted !== 'safe' && wanted !== 'linux') {
  process.stderr.write('--strictness is safe or linux\n');
  process.exitCode = 2;
} else await run(values.write ? ['safe', 'linux'] : [wanted ?? 'safe']);
