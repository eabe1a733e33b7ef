import type { Worker } from 'node:worker_threads';
import { type Clock, err, ok, type Result, startWorker } from '../base/index.ts';
import { refuse } from '../registry/index.ts';
import type { ProgramRun, ProgramRunDone } from './program-run.ts';
import { RUNS_BUSY } from './rules.ts';

/** Runs that may wait for the thread. */
const WAITING_MAX = 256;

interface Waiting {
  readonly run: ProgramRun;
  readonly maxMs: number;
  readonly settle: (answer: Result<ProgramRunDone>) => void;
}

export type FromRunWorker = { readonly kind: 'began' } | { readonly kind: 'done'; readonly result: ProgramRunDone };

/**
 * Runs programs in one thread, first come first served, so that the event loop never waits for one. The thread starts with the first run; one
 * that overruns its time is ended with its thread, and the next run gets a new one.
 */
export class ProgramRuns {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  #isRunning = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  run(run: ProgramRun, maxMs: number): Promise<Result<ProgramRunDone>> {
    if (this.#waiting.length >= WAITING_MAX)
      return Promise.resolve(err(refuse(RUNS_BUSY, { detail: `${WAITING_MAX} runs are waiting.` })));
    return new Promise((settle) => {
      this.#waiting.push({ run, maxMs, settle });
      this.#next();
    });
  }

  #next(): void {
    const next = this.#isRunning ? undefined : this.#waiting.shift();
    if (next === undefined) return;
    this.#isRunning = true;
    const worker = this.#worker ?? this.#start();
    const { run, maxMs, settle } = next;
    /** Loading the thread does not count: the time begins when it says that it has begun. */
    let stopTimer = (): void => undefined;
    const done = (answer: Result<ProgramRunDone>): void => {
      stopTimer();
      worker.off('message', onMessage);
      worker.off('exit', onExit);
      this.#isRunning = false;
      if (this.#waiting.length === 0) worker.unref();
      settle(answer);
      this.#next();
    };
    const onTimeout = (): void => {
      this.#worker = undefined;
      const { via, input } = run;
      const common = { returnValue: null, instructions: 0, output: input, via, log: [], fault: null } as const;
      done(ok({ answer: { ...common, exceeded: 'maxMs' }, writes: [] }));
      void worker.terminate();
    };
    const onMessage = (message: FromRunWorker): void => {
      if (message.kind === 'began') stopTimer = this.#clock.after(maxMs, onTimeout);
      else done(ok(message.result));
    };
    const onExit = (): void => {
      this.#worker = undefined;
      done(err(refuse(RUNS_BUSY, { detail: 'The thread that runs programs ended.' })));
    };
    worker.ref();
    worker.on('message', onMessage);
    worker.on('exit', onExit);
    worker.postMessage(run);
  }

  #start(): Worker {
    const worker = startWorker(import.meta.url, './program-run-worker', { execArgv: [] });
    // An error ends the thread, and `exit` follows; without a listener it would end the process.
    worker.on('error', () => undefined);
    this.#worker = worker;
    return worker;
  }

  /** Refuses what waits; ends the thread. */
  async close(): Promise<void> {
    const fault = refuse(RUNS_BUSY, { detail: 'The service is stopping.' });
    for (const { settle } of this.#waiting.splice(0)) settle(err(fault));
    await this.#worker?.terminate();
    this.#worker = undefined;
  }
}
