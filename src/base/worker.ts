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
