import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { systemClock } from '../base/index.ts';
import { Turns } from './turns.ts';

test('a lone request has its turn at once', async () => {
  const turns = new Turns(systemClock);
  for (let i = 0; i < 3; i++) {
    let isDone = false;
    turns.take('a', () => {
      isDone = true;
    });
    assert.ok(isDone);
    await nextRound();
    await nextRound();
  }
});

test('in a burst a client with many requests keeps its neighbour waiting for one of them', async () => {
  const turns = new Turns(systemClock);
  const order: string[] = [];
  const ask = (client: string, n: number): void => turns.take(client, () => order.push(`${client}${n}`));
  for (let n = 1; n <= 9; n++) ask('busy', n);
  ask('other', 1);
  assert.deepEqual(order, ['busy1']);
  for (let round = 0; turns.waiting > 0; round++) {
    assert.ok(round < 20, 'everybody has a turn');
    await nextRound();
  }
  await nextRound();
  assert.deepEqual(order.slice(0, 3), ['busy1', 'busy2', 'other1']);
  assert.equal(order.length, 10);
});

test('what a turn leads to without waiting is over before the next one', async () => {
  const turns = new Turns(systemClock);
  const order: string[] = [];
  for (const n of [1, 2, 3])
    turns.take('a', () => {
      void Promise.resolve()
        .then(() => undefined)
        .then(() => order.push(`end ${n}`));
      order.push(`begin ${n}`);
    });
  while (order.length < 6) await nextRound();
  assert.deepEqual(order, ['begin 1', 'end 1', 'begin 2', 'end 2', 'begin 3', 'end 3']);
});

test('a request that comes in a turn of another waits for its own', async () => {
  const turns = new Turns(systemClock);
  const order: string[] = [];
  turns.take('a', () => {
    order.push('a');
    turns.take('b', () => order.push('b'));
    order.push('a ends');
  });
  while (order.length < 3) await nextRound();
  assert.deepEqual(order, ['a', 'a ends', 'b']);
});
