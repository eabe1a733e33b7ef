import type { Worker } from 'node:worker_threads';
import { InvariantViolation, type Result, startWorker } from '../../base/index.ts';
import type { CallOutcome, MachineCall, MachineState } from '../call-types.ts';
import type { FromThread, ThreadStart, ToThread } from './protocol.ts';

interface Waiting {
  resolve(result: Result<CallOutcome>): void;
  reject(error: Error): void;
}

/**
 * A machine in a thread of its own, so that the event loop never waits for a call. Started by the first call; calls are run in the order in which they
 * come. Does not keep the process alive while nobody waits.
 */
export class MachineThread {
  readonly #start: ThreadStart;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #lastId = 0;
  #shown: number | undefined;

  constructor(start: ThreadStart) {
    this.#start = start;
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = startWorker(import.meta.url, './call-worker', { workerData: this.#start });
    worker.on('message', ({ id, result, problem }: FromThread) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      if (result !== undefined) waiting?.resolve(result);
      else waiting?.reject(new InvariantViolation(problem ?? 'a call without an answer'));
    });
    const ended = (error: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#shown = undefined;
      for (const waiting of this.#waiting.values()) waiting.reject(error);
      this.#waiting.clear();
    };
    worker.on('error', ended);
    worker.on('exit', (code) => ended(new Error(`the thread that runs calls ended with code ${code}`)));
    this.#worker = worker;
    return worker;
  }

  call(state: MachineState, call: MachineCall): Promise<Result<CallOutcome>> {
    const worker = this.#started();
    worker.ref();
    this.#lastId += 1;
    const message: ToThread = { id: this.#lastId, call, ...(this.#shown === state.version ? {} : { state }) };
    this.#shown = state.version;
    return new Promise((resolve, reject) => {
      this.#waiting.set(message.id, { resolve, reject });
      worker.postMessage(message);
    });
  }

  /** Ends the thread; calls that wait are rejected. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}
