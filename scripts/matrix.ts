/**
 * All ordered pairs of owner kinds at one function, attached in each order and detached in each order: what the second is answered, whether
 * every byte is accounted for at every step, whether a call of the function fires the owners that are named, in their order, and whether the
 * text is pristine when all have left.
 *
 *   tsx scripts/matrix.ts [--image PATH|builtin]... [--kernel VERSION|all]... [--strictness safe|linux] [--triples] [--threads N] [--write]
 *
 * --image may be given several times: each kernel is decided by its own version's rules, or by those of --kernel, of which there may be several.
 * --triples runs all ordered triples as well. --write stores docs/matrix.md for both strictnesses and docs/matrix-versions.md for every
 * version of the first image that is not built in. Progress goes to stderr; Ctrl-C stops all threads. Exits with 1 when something is wrong.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/base/index.ts';
import { BUILT_KERNELS, type RulesKernel, type Strictness } from '../src/registry/index.ts';
import { matrixPage } from './matrix/page.ts';
import { type Part, type PartResult, runParts } from './matrix/pool.ts';
import { pairTable, ruleTable, shortTable, summary } from './matrix/table.ts';
import { versionsPage } from './matrix/versions-page.ts';

const pageAt = (name: string): string => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const PROBLEMS_SHOWN = 40;
const PROGRESS_MS = 2_000;
const INTERRUPTED = 130;

const { values } = parseArgs({
  options: {
    image: { type: 'string', multiple: true, default: ['builtin'] },
    kernel: { type: 'string', multiple: true, default: [] },
    strictness: { type: 'string' },
    triples: { type: 'boolean', default: false },
    threads: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

function usage(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

const BOTH: readonly Strictness[] = ['safe', 'linux'];

function strictnessesWanted(): readonly Strictness[] {
  if (values.write && values.strictness === undefined) return BOTH;
  const wanted = BOTH.find((each) => each === (values.strictness ?? 'safe'));
  return wanted === undefined ? usage('--strictness is safe or linux') : [wanted];
}

function rulesWanted(): readonly (RulesKernel | undefined)[] {
  if (values.kernel.includes('all') || values.write) return [undefined, ...BUILT_KERNELS];
  if (values.kernel.length === 0) return [undefined];
  return values.kernel.map(
    (wanted) =>
      BUILT_KERNELS.find((each) => each === wanted) ?? usage(`--kernel is one of ${BUILT_KERNELS.join(', ')}, all`),
  );
}

function partsWanted(): readonly Part[] {
  const parts = values.image.flatMap((image) =>
    strictnessesWanted().flatMap((strictness) =>
      rulesWanted().flatMap((rules) =>
        (values.triples ? [2, 3] : [2]).map((size): Part => ({ image, strictness, rules, size })),
      ),
    ),
  );
  return parts;
}

const seconds = (sinceUs: number): string => ((systemClock.monotonicUs() - sinceUs) / 1e6).toFixed(1);

async function collect(parts: readonly Part[]): Promise<readonly PartResult[]> {
  const startUs = systemClock.monotonicUs();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  let shownUs = startUs;
  const onProgress = (sets: number, done: number, all: number): void => {
    if (systemClock.monotonicUs() - shownUs < PROGRESS_MS * 1_000) return;
    shownUs = systemClock.monotonicUs();
    process.stderr.write(`${sets} sets, ${done} of ${all} jobs, ${seconds(startUs)} s\n`);
  };
  const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
  const found = await runParts(parts, { ...threads, onProgress, signal: stop.signal });
  const sets = found.reduce((sum, part) => sum + part.sets.length, 0);
  process.stderr.write(`${sets} sets in ${seconds(startUs)} s\n`);
  return found;
}

const nameOf = ({ release, kernel, strictness, size }: PartResult): string =>
  `${release} by the rules of ${kernel}, ${strictness}, ${size === 2 ? 'pairs' : 'triples'}`;

function problemsOf(part: PartResult): readonly string[] {
  return part.sets.flatMap(({ owners, problems }) => {
    const names = owners.map(({ name }) => name).join(' → ');
    return problems.map((each) => `${nameOf(part)}: ${names}: ${each}`);
  });
}

function print(part: PartResult): void {
  const tables = part.size === 2 ? [shortTable(part.sets), pairTable(part.sets)] : [ruleTable(part.sets)];
  process.stdout.write(`## ${nameOf(part)}\n\n${summary(part.sets)}\n\n${tables.join('\n\n')}\n\n`);
}

const found = await collect(partsWanted()).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(INTERRUPTED);
});
for (const part of found) print(part);
if (values.write) {
  writeFileSync(pageAt('matrix.md'), matrixPage(found.filter(({ rules }) => rules === undefined)));
  writeFileSync(pageAt('matrix-versions.md'), versionsPage(found));
}
const problems = found.flatMap(problemsOf);
for (const problem of problems.slice(0, PROBLEMS_SHOWN)) process.stderr.write(`${problem}\n`);
if (problems.length > PROBLEMS_SHOWN) process.stderr.write(`and ${problems.length - PROBLEMS_SHOWN} more\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
