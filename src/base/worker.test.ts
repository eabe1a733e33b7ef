import assert from 'node:assert/strict';
import { once } from 'node:events';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

test('a thread that gives way is behind the others of its process', {
  skip: process.platform !== 'linux',
}, async () => {
  const before = getPriority();
  const source = `
    const { parentPort } = require('node:worker_threads');
    const { readlinkSync } = require('node:fs');
    const { getPriority } = require('node:os');
    import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(async (tsx) => {
      tsx.register();
      const { giveWay } = await import(${JSON.stringify(new URL('./worker.ts', import.meta.url).href)});
      giveWay();
      parentPort.postMessage(getPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1))));
    });`;
  const worker = new Worker(source, { eval: true });
  const [priority] = await once(worker, 'message');
  assert.equal(priority, Math.max(before, 5));
  assert.equal(getPriority(), before);
  await worker.terminate();
});
