import { type Clock, startWorker } from '../../base/index.ts';
import type { Found } from '../explore.ts';
import type { SearchFigures } from '../search/outcome.ts';
import type { ExplorationJob, FromThread, ThreadEnd } from './protocol.ts';

/** What a search may use beside its states, which are counted. */
const HEAP_MB = 1024;

/** A search looks at the clock between pieces of work. This much later it is taken for one that will never look again. */
const GRACE_MS = 5_000;

const NO_FIGURES: SearchFigures = { states: 0, steps: 0, schedules: 0, depthMax: 0 };

export interface ThreadHooks {
  /** Times only the last resort, when the thread itself does not keep to its budget. */
  readonly clock: Clock;
  readonly onProgress: (figures: SearchFigures) => void;
}

/** An exploration in a thread. */
export interface RunningExploration {
  /** Never rejects. */
  readonly end: Promise<ThreadEnd>;
  /** Ends it; the answer is then `stopped`. */
  stop(): Promise<void>;
}

/**
 * One exploration in a thread of its own, so that nobody's event loop waits for it.
 *
 * 1. The thread explores, keeps to its budget and sends what it comes to.
 * 2. When it does not come back in time, or has no memory left, it is ended; the answer is the bound, with what was known by then.
 * 3. A fault that had been found by then is still an answer, only not a short one.
 */
export function startExploration(job: ExplorationJob, { clock, onProgress }: ThreadHooks): RunningExploration {
  const resourceLimits = { maxOldGenerationSizeMb: HEAP_MB };
  const worker = startWorker(import.meta.url, './explore-worker', { workerData: job, resourceLimits });
  const startUs = clock.monotonicUs();
  let figures = NO_FIGURES;
  let found: Found | undefined;
  let bound: 'ms' | 'memory' | undefined;
  let answer: ThreadEnd | undefined;
  let detail: string | undefined;
  const cancel = clock.after(job.maxMs + GRACE_MS, () => {
    bound = 'ms';
    worker.terminate();
  });
  worker.on('message', (message: FromThread) => {
    if (message.kind === 'progress') {
      figures = message.figures;
      onProgress(figures);
    } else if (message.kind === 'found') found = message.found;
    else if (message.kind === 'done') answer = message.exploration;
    else detail = message.detail;
  });
  worker.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') bound = 'memory';
    else detail ??= error.message;
  });
  const end = new Promise<ThreadEnd>((resolve) => {
    worker.once('exit', () => {
      cancel();
      const base = { isExhaustive: false, figures, elapsedMs: (clock.monotonicUs() - startUs) / 1000 };
      if (answer !== undefined) resolve(answer);
      else if (found !== undefined) resolve({ ...base, ...found, outcome: 'violated' });
      else if (bound !== undefined) resolve({ ...base, outcome: 'bound', bound });
      else if (detail !== undefined) resolve({ ...base, outcome: 'failed', detail });
      else resolve({ ...base, outcome: 'stopped' });
    });
  });
  const stop = async (): Promise<void> => {
    await worker.terminate();
    await end;
  };
  return { end, stop };
}
