import type { Worker } from 'node:worker_threads';
import { startWorker } from '../../base/index.ts';
import type { MachineState } from '../call-types.ts';
import type { FromWorkload, ToWorkload, WorkloadStart } from './workload-protocol.ts';

/** A workload in a thread of its own. */
export class WorkloadThread {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #shown: number;

  /** @param onMessage hears `ended` or `failed` last, and exactly once */
  constructor(start: WorkloadStart, onMessage: (message: FromWorkload) => void) {
    this.#shown = start.state.version;
    this.#worker = startWorker(import.meta.url, './workload-worker', { workerData: start });
    let isOver = false;
    const hear = (message: FromWorkload): void => {
      if (isOver) return;
      isOver = message.kind !== 'report';
      onMessage(message);
    };
    this.#worker.on('message', hear);
    this.#worker.on('error', (error) => hear({ kind: 'failed', detail: error.message }));
    this.#ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        hear({ kind: 'failed', detail: `the thread of the workload ended with code ${code}` });
        resolve();
      });
    });
  }

  /** Text and owners from now on. */
  show(state: MachineState): void {
    if (state.version === this.#shown) return;
    this.#shown = state.version;
    this.#send({ kind: 'state', state });
  }

  #send(message: ToWorkload): void {
    this.#worker.postMessage(message);
  }

  /** Lets every call end that has begun. */
  async stop(): Promise<void> {
    this.#send({ kind: 'stop' });
    await this.#ended;
  }
}
