/** The far end of workload-thread.ts: one workload in turns, between which messages are read. */
import { parentPort, workerData } from 'node:worker_threads';
import { giveWay, invariant, seededPrng, systemClock } from '../../base/index.ts';
import { readImageData } from '../../image/index.ts';
import { TextMutex, type TextMutexHeld } from '../../textpoke/index.ts';
import { Workload } from '../workload/workload.ts';
import { Reporter } from './report.ts';
import type { FromWorkload, ToWorkload, WorkloadStart } from './workload-protocol.ts';

const REPORT_EVERY_MS = 200;
/** Turns go on so long before messages are read. */
const BURST_MS = 5;
/** How long nothing is done when there are as many calls as there may be. */
const REST_MS = 5;

const port = parentPort;
invariant(port !== null, 'workload-worker.ts runs as a worker');
giveWay();
const start = workerData as WorkloadStart;
const send = (message: FromWorkload): void => port.postMessage(message);
const pause = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

let isStopping = false;
let workload: Workload | undefined;
/** Of before the first call. */
let state = start.state;
port.on('message', (message: ToWorkload) => {
  if (message.kind === 'stop') isStopping = true;
  else {
    state = message.state;
    workload?.show(state);
  }
});

/** Turns until calls are due no more or the burst is over; true when there was something to do. */
function burst(running: Workload, reporter: Reporter, due: () => number): boolean {
  const end = systemClock.monotonicUs() + BURST_MS * 1000;
  do {
    const begin = due();
    if (begin <= 0 && running.inFlight === 0 && running.isSettled) return false;
    for (const finished of running.turn(begin)) reporter.add(finished);
  } while (systemClock.monotonicUs() < end);
  return true;
}

async function run(held: TextMutexHeld): Promise<void> {
  const data = await readImageData(start.data);
  if (!data.ok) return send({ kind: 'failed', detail: data.fault.detail });
  const image = { ...start.image, data: data.value.sections };
  const prng = seededPrng(start.seed);
  const running = new Workload({ image, mix: start.mix, state, clock: systemClock, prng, held });
  workload = running;
  const reporter = new Reporter();
  const beginUs = systemClock.monotonicUs();
  const elapsedMs = (): number => (systemClock.monotonicUs() - beginUs) / 1000;
  const isOver = (): boolean => isStopping || elapsedMs() >= start.maxMs;
  const due = (): number =>
    isOver() ? 0 : Math.floor((elapsedMs() / 1000) * start.callsPerSecond) + 1 - running.counts.started;
  let reportedMs = 0;
  while (!isOver() || running.inFlight > 0) {
    const isBusy = burst(running, reporter, due);
    if (elapsedMs() - reportedMs >= REPORT_EVERY_MS) {
      reportedMs = elapsedMs();
      send({ kind: 'report', report: reporter.take(running) });
    }
    await pause(isBusy ? 0 : REST_MS);
  }
  send({ kind: 'ended', report: reporter.take(running), why: isStopping ? 'stopped' : 'time' });
}

// Its own text and its own lock: what it pokes is a copy.
new TextMutex({ clock: systemClock })
  .run({ client: 'workload', what: 'replay' }, run)
  .then((done) => {
    if (!done.ok) send({ kind: 'failed', detail: done.fault.detail });
  })
  .catch((error: unknown) =>
    send({ kind: 'failed', detail: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
  .finally(() => port.close());
