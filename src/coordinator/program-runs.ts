import type { Clock, Result } from '../base/index.ts';
import { refuse } from '../registry/index.ts';
import type { ProgramRun, ProgramRunDone } from './program-run.ts';
import { RUNS_BUSY } from './rules.ts';
import { type FromThread, ThreadQueue } from './thread-queue.ts';

/** Runs that may wait for the thread. */
const WAITING_MAX = 256;

export type FromRunWorker = FromThread<ProgramRunDone>;

/** Runs programs, one after the other, in a thread of their own. */
export class ProgramRuns {
  readonly #queue: ThreadQueue<ProgramRun, ProgramRunDone>;

  constructor(clock: Clock) {
    this.#queue = new ThreadQueue<ProgramRun, ProgramRunDone>({
      clock,
      importer: import.meta.url,
      name: './program-run-worker',
      waitingMax: WAITING_MAX,
      timedOut: ({ via, input }) => {
        const common = { returnValue: null, instructions: 0, output: input, via, log: [], fault: null } as const;
        return { answer: { ...common, exceeded: 'maxMs' }, writes: [], traced: [] };
      },
      busy: (detail) => refuse(RUNS_BUSY, { detail }),
      does: 'runs programs',
    });
  }

  run(run: ProgramRun, maxMs: number): Promise<Result<ProgramRunDone>> {
    return this.#queue.run(run, maxMs);
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}
