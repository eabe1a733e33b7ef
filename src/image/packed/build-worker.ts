import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../../base/index.ts';
import { type BuildInput, buildImage } from './build-image.ts';
import type { FromWorker } from './build-in-worker.ts';

/** The far end of build-in-worker.ts: builds one image, hands it over and ends, so that the memory it took goes back to the system. */
const port = parentPort;
invariant(port !== null, 'build-worker.ts runs as a worker');
const post = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer]);
const input = workerData as Omit<BuildInput, 'onProgress'>;
const result = await buildImage({ ...input, onProgress: (progress) => post({ kind: 'progress', progress }) });
post({ kind: 'result', result }, result.ok ? [result.value.buffer] : []);
