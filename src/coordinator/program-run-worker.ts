import { parentPort } from 'node:worker_threads';
import { giveWay, invariant } from '../base/index.ts';
import { type ProgramRun, runProgramHere } from './program-run.ts';
import type { FromRunWorker } from './program-runs.ts';

/** The far end of program-runs.ts: runs programs one after the other. */
const port = parentPort;
invariant(port !== null, 'program-run-worker.ts runs as a worker');
giveWay();
const post = (message: FromRunWorker): void => port.postMessage(message);
port.on('message', (run: ProgramRun) => {
  post({ kind: 'began' });
  post({ kind: 'done', answer: runProgramHere(run) });
});
