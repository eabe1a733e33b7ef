/** A thread of the matrix: takes jobs until there are none, and keeps the image it has loaded. */
import { parentPort } from 'node:worker_threads';
import type { KernelImage } from '../../src/image/index.ts';
import type { Machine } from '../../src/machine/index.ts';
import { makeLab } from './lab.ts';
import { load, makeMachine } from './load.ts';
import type { FromWorker, Job } from './pool.ts';
import { runSets, type SetResult } from './run.ts';

/** Sets between two messages that say how far it is. */
const PROGRESS_EVERY = 100;

const images = new Map<string, Promise<KernelImage>>();

function imageOf(name: string): Promise<KernelImage> {
  const found = images.get(name) ?? load(name);
  images.set(name, found);
  return found;
}

const machines = new Map<string, Promise<Machine>>();

/** By the rules of another version nothing is called: the code it would have generated is not this image's. */
async function machineFor({ image, rules }: Job): Promise<Machine | undefined> {
  if (rules !== undefined) return undefined;
  const found = machines.get(image) ?? imageOf(image).then((loaded) => makeMachine(loaded, image));
  machines.set(image, found);
  return found;
}

const tell = (message: FromWorker): void => parentPort?.postMessage(message);

async function run(job: Job): Promise<void> {
  const image = await imageOf(job.image);
  const lab = makeLab(image, job.strictness, await machineFor(job), job.rules);
  const firsts = lab.owners.filter(({ name }) => name === job.first);
  const sets: SetResult[] = [];
  for (const set of runSets(lab, job.size, undefined, firsts)) {
    sets.push(set);
    if (sets.length % PROGRESS_EVERY === 0) tell({ kind: 'progress', sets: PROGRESS_EVERY });
  }
  tell({ kind: 'done', job: job.id, release: image.release, rules: lab.world.kernel, sets });
}

parentPort?.on('message', (job: Job | null) => {
  if (job === null) {
    parentPort?.close();
    return;
  }
  run(job).catch((error: unknown) => tell({ kind: 'failed', job: job.id, why: String(error) }));
});
