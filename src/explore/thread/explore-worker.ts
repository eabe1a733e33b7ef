/** The far end of exploration-thread.ts: one exploration, and then the thread ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { giveWay, invariant, systemClock } from '../../base/index.ts';
import { explore } from '../explore.ts';
import { MUTANTS } from '../mutants/index.ts';
import { ScenarioError } from '../scenario/assemble.ts';
import type { ExplorationJob, FromThread } from './protocol.ts';

const port = parentPort;
invariant(port !== null, 'explore-worker.ts runs as a worker');
giveWay();
const send = (message: FromThread): void => port.postMessage(message);

function reasonOf(error: unknown): string {
  if (error instanceof ScenarioError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const { mutant, ...job } = workerData as ExplorationJob;
const mutation = mutant === undefined ? undefined : MUTANTS.get(mutant)?.mutation;
try {
  const exploration = await explore(mutation === undefined ? job : { ...job, mutation }, {
    clock: systemClock,
    onProgress: (figures) => send({ kind: 'progress', figures }),
    onFound: (found) => send({ kind: 'found', found }),
  });
  const { checkpoint: _, ...plain } = exploration;
  send({ kind: 'done', exploration: plain });
} catch (error) {
  send({ kind: 'failed', detail: reasonOf(error) });
}
