import { Worker } from 'node:worker_threads';

/** Starts worker.ts; tsx installs its loader in the main thread only on Node 20, so the thread does that first. */
export function startWorker(workerData: unknown): Worker {
  const source = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return new Worker(`import(${tsx}).then((tsx) => { tsx.register(); return import(${source}); })`, {
    eval: true,
    workerData,
  });
}
