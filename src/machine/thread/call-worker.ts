/** The far end of machine-thread.ts: one machine, made when it is first needed, and calls one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { giveWay, invariant, ok, type Result, systemClock } from '../../base/index.ts';
import { readImageData } from '../../image/index.ts';
import type { MachineState } from '../call-types.ts';
import { Machine } from '../machine.ts';
import type { FromThread, ThreadStart, ToThread } from './protocol.ts';

const port = parentPort;
invariant(port !== null, 'call-worker.ts runs as a worker');
giveWay();
const start = workerData as ThreadStart;
let machine: Promise<Result<Machine>> | undefined;
let state: MachineState | undefined;

async function makeMachine(): Promise<Result<Machine>> {
  const data = await readImageData(start.data);
  if (!data.ok) return data;
  return ok(new Machine({ ...start.image, data: data.value.sections }, systemClock));
}

async function run({ id, state: sent, call }: ToThread): Promise<FromThread> {
  state = sent ?? state;
  const shown = state;
  invariant(shown !== undefined, 'the first message brings a state');
  machine ??= makeMachine();
  const made = await machine;
  return { id, result: made.ok ? ok(made.value.call(shown, call)) : made };
}

port.on('message', (message: ToThread) => {
  run(message)
    .catch(
      (error: unknown): FromThread => ({
        id: message.id,
        problem: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
    )
    .then((answer) => port.postMessage(answer));
});
