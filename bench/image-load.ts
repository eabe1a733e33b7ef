/**
 * How long a kernel takes to load and what memory that costs, each in a process of its own:
 *
 *   tsx bench/image-load.ts [--rounds N] [KERNEL...]
 *
 * baseline: reading the file, its SHA-256 and unpacking, nothing else; cold: no cache; cached: from the cache that cold wrote. Machines differ and are
 * shared, so look at the ratios to the baseline of the same round.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../src/base/index.ts';
import { DEFAULT_PROFILE, loadKernelImage } from '../src/image/index.ts';
import { unwrapKernel } from '../src/image/unwrap.ts';
import { allKernels } from '../test/support/kernels.ts';

interface Measured {
  readonly ms: number;
  /** MiB of this process before, after (garbage collected when the runtime allows) and at the most. */
  readonly rssBefore: number;
  readonly rssAfter: number;
  readonly rssMax: number;
  readonly steps: readonly (readonly [string, number])[];
}

const mebibytes = (bytes: number): number => Math.round(bytes / 1048576);

async function measure(work: (step: (name: string) => void) => Promise<void>): Promise<Measured> {
  const rssBefore = mebibytes(process.memoryUsage().rss);
  const steps: [string, number][] = [];
  const start = performance.now();
  let [name, since] = ['', start];
  const step = (next: string): void => {
    const now = performance.now();
    if (name !== '') steps.push([name, Math.round(now - since)]);
    [name, since] = [next, now];
  };
  await work(step);
  step('end');
  const ms = performance.now() - start;
  globalThis.gc?.();
  return {
    ms,
    rssBefore,
    rssAfter: mebibytes(process.memoryUsage().rss),
    rssMax: mebibytes(process.resourceUsage().maxRSS * 1024),
    steps,
  };
}

async function child(mode: string, path: string, cacheFolder: string): Promise<Measured> {
  if (mode === 'baseline') {
    return measure(async (step) => {
      step('read and hash');
      const file = readFileSync(path);
      createHash('sha256').update(file).digest('hex');
      step('unpack');
      const unwrapped = await unwrapKernel(file);
      if (!unwrapped.ok) throw new Error(unwrapped.fault.detail);
    });
  }
  return measure(async (step) => {
    const image = await loadKernelImage({
      kernel: { path },
      source: path,
      profile: DEFAULT_PROFILE,
      cacheFolder,
      clock: systemClock,
      onProgress: (progress) => step(progress.step),
    });
    if (!image.ok) throw new Error(image.fault.detail);
    if (image.value.fromCache !== (mode === 'cached'))
      throw new Error(`${mode}: fromCache is ${image.value.fromCache}`);
  });
}

function inProcess(mode: string, path: string, cacheFolder: string): Measured {
  const args = [
    '--expose-gc',
    ...process.execArgv,
    fileURLToPath(import.meta.url),
    '--child',
    mode,
    '--cache',
    cacheFolder,
    path,
  ];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${mode} ${path}: ${stderr}`);
  return JSON.parse(stdout) as Measured;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function report(path: string, rounds: number): void {
  const runs = Array.from({ length: rounds }, () => {
    const cache = mkdtempSync(join(tmpdir(), 'ktextd-bench-'));
    try {
      return (['baseline', 'cold', 'cached'] as const).map((mode) => [mode, inProcess(mode, path, cache)] as const);
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  });
  process.stdout.write(`${basename(path)}, ${rounds} rounds, medians\n`);
  const baselines = runs.map((run) => run[0]?.[1].ms as number);
  for (const [i, mode] of ['baseline', 'cold', 'cached'].entries()) {
    const of = runs.map((run) => run[i]?.[1] as Measured);
    const ratios = of.map((each, round) => each.ms / (baselines[round] as number));
    const ms = of.map((each) => each.ms);
    const last = of.at(-1) as Measured;
    process.stdout.write(
      `  ${mode.padEnd(8)} ${median(ms).toFixed(0).padStart(6)} ms (${Math.min(...ms).toFixed(0)}–${Math.max(...ms).toFixed(0)})` +
        `  ${median(ratios).toFixed(2)} × baseline  RSS ${last.rssBefore} → ${last.rssAfter} MiB, at most ${last.rssMax}\n` +
        `           ${last.steps.map(([name, took]) => `${name} ${took}`).join(', ')}\n`,
    );
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    child: { type: 'string' },
    cache: { type: 'string', default: '' },
  },
});
if (values.child !== undefined) {
  process.stdout.write(JSON.stringify(await child(values.child, positionals[0] ?? '', values.cache)));
} else {
  const paths = positionals.length > 0 ? positionals : allKernels();
  if (paths.length === 0) process.stdout.write('no kernels: run `npm run kernels` or name a file\n');
  for (const path of paths) report(path, Number(values.rounds));
}
