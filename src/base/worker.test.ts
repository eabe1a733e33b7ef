import assert from 'node:assert/strict';
import { once } from 'node:events';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

test('a thread that gives way is behind the others of its process', {
  skip: process.platform !== 'linux',
}, async () => {
  const before = getPriority();
  const [loader, module] = [import.meta.resolve('tsx/esm/api'), new URL('./worker.ts', import.meta.url).href].map(
    (each) => JSON.stringify(each),
  );
  const source = `
    import(${loader}).then(async (tsx) => {
      tsx.register();
      const [{ giveWay }, { parentPort }, { readlinkSync }, { getPriority }] = await Promise.all(
        [${module}, 'node:worker_threads', 'node:fs', 'node:os'].map((name) => import(name)),
      );
      giveWay();
      parentPort.postMessage(getPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1))));
    });`;
  const worker = new Worker(source, { eval: true });
  const [priority] = await once(worker, 'message');
  assert.equal(priority, Math.max(before, 5));
  assert.equal(getPriority(), before);
  await worker.terminate();
});
