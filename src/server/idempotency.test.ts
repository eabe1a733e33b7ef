import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/index.ts';
import { createIdempotencyStore, type StoredAnswer } from './idempotency.ts';

const answer = (body: string): StoredAnswer => ({ status: 201, headers: {}, body });
const LIMITS = { entries: 3, bytes: 10_000, ttlMs: 1000 };

test('first runs, the repeat gets its answer, another request conflicts', async () => {
  const store = createIdempotencyStore(new ManualClock(), LIMITS);
  assert.equal(store.begin('t\nk', 'h1').kind, 'first');
  const waiting = store.begin('t\nk', 'h1');
  assert.equal(store.begin('t\nk', 'h2').kind, 'conflict');
  store.finish('t\nk', answer('one'));
  assert.ok(waiting.kind === 'wait');
  assert.equal((await waiting.answer)?.body, 'one');
  const later = store.begin('t\nk', 'h1');
  assert.ok(later.kind === 'wait');
  assert.equal((await later.answer)?.body, 'one');
});

test('an answer not worth keeping frees the key', async () => {
  const store = createIdempotencyStore(new ManualClock(), LIMITS);
  store.begin('k', 'h');
  const waiting = store.begin('k', 'h');
  store.finish('k', undefined);
  assert.ok(waiting.kind === 'wait');
  assert.equal(await waiting.answer, undefined);
  assert.equal(store.begin('k', 'h').kind, 'first');
});

test('a machine whose time is set forgets nothing, and keeps nothing for longer', () => {
  const clock = new ManualClock();
  let jumpedMs = 0;
  const store = createIdempotencyStore(
    {
      now: () => clock.now() + jumpedMs,
      monotonicUs: () => clock.monotonicUs(),
      after: (ms, done) => clock.after(ms, done),
    },
    LIMITS,
  );
  store.begin('key', 'h');
  store.finish('key', answer('x'));
  jumpedMs = 10 * LIMITS.ttlMs;
  assert.equal(store.begin('key', 'h').kind, 'wait');
  jumpedMs = -10 * LIMITS.ttlMs;
  clock.advance(LIMITS.ttlMs + 1);
  assert.equal(store.begin('key', 'h').kind, 'first');
});

test('bounded by number, bytes and age; what is still running stays', () => {
  const clock = new ManualClock();
  const store = createIdempotencyStore(clock, LIMITS);
  store.begin('running', 'h');
  for (let i = 0; i < 10; i++) {
    store.begin(`k${i}`, 'h');
    store.finish(`k${i}`, answer('x'));
  }
  assert.equal(store.size, 3);
  assert.equal(store.begin('running', 'h').kind, 'wait');
  store.begin('big', 'h');
  store.finish('big', answer('x'.repeat(20_000)));
  assert.equal(store.begin('big', 'h').kind, 'first');
  store.finish('big', answer('x'));
  clock.advance(1001);
  assert.equal(store.begin('big', 'h').kind, 'first');
});
