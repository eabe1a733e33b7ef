/** The work of the matrix, split by the first member of each set and shared by threads. */
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import type { RulesKernel, Strictness } from '../../src/registry/index.ts';
import { MATRIX_OWNERS } from './owners.ts';
import type { SetResult } from './run.ts';
import { startWorker } from './start-worker.ts';

/** One matrix that is wanted. */
export interface Part {
  readonly image: string;
  readonly strictness: Strictness;
  /** Whose rules decide; the image's own version when undefined. */
  readonly rules: RulesKernel | undefined;
  readonly size: number;
}

export interface Job extends Part {
  readonly id: number;
  /** Name of the first owner of all its sets. */
  readonly first: string;
}

export type FromWorker =
  | { readonly kind: 'progress'; readonly sets: number }
  | { readonly kind: 'failed'; readonly job: number; readonly why: string }
  | {
      readonly kind: 'done';
      readonly job: number;
      readonly release: string;
      readonly rules: RulesKernel;
      readonly sets: readonly SetResult[];
    };

export interface PartResult extends Part {
  readonly release: string;
  readonly kernel: RulesKernel;
  readonly sets: readonly SetResult[];
}

export interface PoolOptions {
  readonly threads?: number;
  /** Called as work gets done: sets run, jobs finished, jobs in all. */
  readonly onProgress: (sets: number, done: number, all: number) => void;
  readonly signal: AbortSignal;
}

const jobsOf = (parts: readonly Part[]): readonly Job[] =>
  parts
    .flatMap((part) => MATRIX_OWNERS.map(({ name }) => ({ ...part, first: name })))
    .map((job, id) => ({ ...job, id }));

/** Runs every part; rejects when a thread fails or the signal fires, with no thread left behind. */
export async function runParts(parts: readonly Part[], options: PoolOptions): Promise<readonly PartResult[]> {
  const jobs = jobsOf(parts);
  const results = new Map<number, Extract<FromWorker, { kind: 'done' }>>();
  const workers: Worker[] = [];
  let next = 0;
  let sets = 0;
  const work = (worker: Worker, resolve: () => void, reject: (error: Error) => void): void => {
    const give = (): void => {
      const job = jobs[next];
      next += 1;
      worker.postMessage(job ?? null);
      if (job === undefined) resolve();
    };
    worker.on('error', reject);
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'failed') {
        reject(new Error(message.why));
        return;
      }
      if (message.kind === 'progress') sets += message.sets;
      else {
        results.set(message.job, message);
        sets += message.sets.length % 100;
        give();
      }
      options.onProgress(sets, results.size, jobs.length);
    });
    give();
  };
  const threads = Math.min(options.threads ?? availableParallelism(), jobs.length);
  try {
    await Promise.race([
      Promise.all(
        Array.from({ length: threads }, () => {
          const worker = startWorker(undefined);
          workers.push(worker);
          return new Promise<void>((resolve, reject) => work(worker, resolve, reject));
        }),
      ),
      new Promise<never>((_, reject) => {
        options.signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
      }),
    ]);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return parts.map((part, index) => {
    const own = MATRIX_OWNERS.map((_, i) => results.get(index * MATRIX_OWNERS.length + i));
    const [first] = own;
    if (first === undefined || own.includes(undefined)) throw new Error('a job has no result');
    return { ...part, release: first.release, kernel: first.rules, sets: own.flatMap((each) => each?.sets ?? []) };
  });
}
