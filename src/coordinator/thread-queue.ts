import type { Worker } from 'node:worker_threads';
import { type Clock, err, type Fault, ok, type Result, startWorker } from '../base/index.ts';

/** What a thread tells: that it has begun a job, so that its time begins, and what came of it. */
export type FromThread<Answer> = { readonly kind: 'began' } | { readonly kind: 'done'; readonly answer: Answer };

export interface ThreadQueueOptions<Job, Answer> {
  readonly clock: Clock;
  /** As `startWorker` takes them. */
  readonly importer: string;
  readonly name: string;
  readonly waitingMax: number;
  /** Tells a new thread what all its jobs need. */
  readonly onStart?: (worker: Worker) => void;
  /** What is answered for a job that overran its time. */
  readonly timedOut: (job: Job) => Answer;
  readonly busy: (detail: string) => Fault;
  /** What the thread does, for what is said when it ends. */
  readonly does: string;
}

interface Waiting<Job, Answer> {
  readonly job: Job;
  readonly maxMs: number;
  readonly settle: (answer: Result<Answer>) => void;
}

/**
 * Does jobs in one thread, first come first served, so that the event loop never waits for one. The thread starts with the first job; one
 * that overruns its time is ended with its thread, and the next job gets a new one.
 */
export class ThreadQueue<Job, Answer> {
  readonly #options: ThreadQueueOptions<Job, Answer>;
  readonly #waiting: Waiting<Job, Answer>[] = [];
  #worker: Worker | undefined;
  #isRunning = false;

  constructor(options: ThreadQueueOptions<Job, Answer>) {
    this.#options = options;
  }

  run(job: Job, maxMs: number): Promise<Result<Answer>> {
    const { waitingMax, busy, does } = this.#options;
    if (this.#waiting.length >= waitingMax)
      return Promise.resolve(err(busy(`${waitingMax} wait for the thread that ${does}.`)));
    return new Promise((settle) => {
      this.#waiting.push({ job, maxMs, settle });
      this.#next();
    });
  }

  #next(): void {
    const next = this.#isRunning ? undefined : this.#waiting.shift();
    if (next === undefined) return;
    this.#isRunning = true;
    const worker = this.#worker ?? this.#start();
    const { job, maxMs, settle } = next;
    /** Loading the thread does not count: the time begins when it says that it has begun. */
    let stopTimer = (): void => undefined;
    const done = (answer: Result<Answer>): void => {
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
      done(ok(this.#options.timedOut(job)));
      void worker.terminate();
    };
    const onMessage = (message: FromThread<Answer>): void => {
      if (message.kind === 'began') stopTimer = this.#options.clock.after(maxMs, onTimeout);
      else done(ok(message.answer));
    };
    const onExit = (): void => {
      this.#worker = undefined;
      done(err(this.#options.busy(`The thread that ${this.#options.does} ended.`)));
    };
    worker.ref();
    worker.on('message', onMessage);
    worker.on('exit', onExit);
    worker.postMessage(job);
  }

  #start(): Worker {
    const worker = startWorker(this.#options.importer, this.#options.name, { execArgv: [] });
    // An error ends the thread, and `exit` follows; without a listener it would end the process.
    worker.on('error', () => undefined);
    this.#options.onStart?.(worker);
    this.#worker = worker;
    return worker;
  }

  /** Refuses what waits; ends the thread. */
  async close(): Promise<void> {
    const fault = this.#options.busy('The service is stopping.');
    for (const { settle } of this.#waiting.splice(0)) settle(err(fault));
    await this.#worker?.terminate();
    this.#worker = undefined;
  }
}
