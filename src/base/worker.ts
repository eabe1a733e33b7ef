import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a thread on a module beside the one that asks. Compiled, it is a file like any other; from source the thread first needs the
 * TypeScript loader (Node 20).
 *
 * @param importer `import.meta.url` of the module that asks
 * @param name path of the thread's module from there, without its extension
 */
export function startWorker(importer: string, name: string, options: WorkerOptions): Worker {
  if (!importer.endsWith('.ts')) return new Worker(new URL(`${name}.js`, importer), options);
  const source = JSON.stringify(new URL(`${name}.ts`, importer).href);
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return new Worker(`import(${tsx}).then((tsx) => { tsx.register(); return import(${source}); })`, {
    ...options,
    eval: true,
  });
}

/** A quarter of the share that a thread at 0 gets (sched_prio_to_weight, kernel/sched/core.c, 6.12). */
const LONG_WORK_NICE = 5;

/**
 * For a thread that computes for long: where a core is short, the thread that answers requests goes first. Linux keeps a nice value for each thread;
 * elsewhere, and without /proc, nothing happens.
 */
export function giveWay(): void {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(thread, Math.max(getPriority(thread), LONG_WORK_NICE));
  } catch {
    // Only who is in a hurry would miss it.
  }
}
