import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvariantViolation, ManualClock } from '../base/index.ts';
import { assertHeld, TextMutex, type TextMutexHeld } from './text-mutex.ts';

const who = { client: 'alice', what: 'attach' };

/** A body that lasts until told. */
function gate(): { readonly body: () => Promise<string>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { body: () => opened.then(() => 'ran'), open: () => open() };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('TextMutex', () => {
  it('runs the body and returns its value', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    assert.deepEqual(await mutex.run(who, () => 42), { ok: true, value: 42 });
    assert.equal(mutex.state().holder, null);
    assert.equal(mutex.state().acquisitions, 1);
  });

  it('serves first come first', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const order: number[] = [];
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        mutex.run(who, async () => {
          await settle();
          order.push(n);
        }),
      ),
    );
    assert.deepEqual(order, [1, 2, 3, 4]);
  });

  it('kills the token when the body ends, also when it throws', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const tokens: TextMutexHeld[] = [];
    const keep = (held: TextMutexHeld): void => {
      assertHeld(held);
      tokens.push(held);
    };
    await mutex.run(who, keep);
    await assert.rejects(
      mutex.run(who, async (held) => {
        keep(held);
        await settle();
        assertHeld(held);
        throw new RangeError('body');
      }),
      RangeError,
    );
    assert.equal(tokens.length, 2);
    for (const token of tokens) assert.throws(() => assertHeld(token), InvariantViolation);
  });

  it('refuses a token that nobody gave out', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    await mutex.run(who, (held) => {
      const forged = { ...held } as TextMutexHeld;
      assert.throws(() => assertHeld(forged), InvariantViolation);
    });
  });

  it('goes on after a body threw', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const failing = mutex.run(who, () => {
      throw new RangeError('body');
    });
    const next = mutex.run(who, () => 'next');
    await assert.rejects(failing, RangeError);
    assert.deepEqual(await next, { ok: true, value: 'next' });
  });

  it('answers EAGAIN when the queue is full, and takes work again when it is not', async () => {
    const mutex = new TextMutex({ clock: new ManualClock(), queueMax: 2 });
    const first = gate();
    const running = mutex.run(who, first.body);
    const waiting = [mutex.run(who, () => 1), mutex.run({ client: 'bob', what: 'x' }, () => 2)];
    await settle();
    const refused = await mutex.run(who, () => 3);
    assert.ok(!refused.ok);
    assert.equal(refused.fault.errno, 'EAGAIN');
    assert.equal(refused.fault.rule, 'text-mutex.queue-full');
    assert.match(refused.fault.detail, /alice: attach/);
    first.open();
    await Promise.all([running, ...waiting]);
    assert.deepEqual(await mutex.run(who, () => 4), { ok: true, value: 4 });
  });

  it('counts the queue before the first turn has begun', async () => {
    const mutex = new TextMutex({ clock: new ManualClock(), queueMax: 0 });
    const first = mutex.run(who, () => 1);
    const second = await mutex.run(who, () => 2);
    assert.equal(second.ok, false);
    assert.deepEqual(await first, { ok: true, value: 1 });
  });

  it('answers ETIMEDOUT at the deadline and skips the work', async () => {
    const clock = new ManualClock();
    const mutex = new TextMutex({ clock });
    const first = gate();
    const running = mutex.run(who, first.body);
    let ran = false;
    const late = mutex.run({ ...who, deadlineMs: 50 }, () => {
      ran = true;
    });
    await settle();
    clock.advance(49);
    assert.equal(mutex.state().waiting.length, 1);
    clock.advance(1);
    const result = await late;
    assert.ok(!result.ok);
    assert.equal(result.fault.errno, 'ETIMEDOUT');
    assert.equal(result.fault.rule, 'text-mutex.deadline');
    assert.equal(mutex.state().waiting.length, 0, 'answered while the holder still holds it');
    first.open();
    await running;
    await mutex.run(who, () => undefined);
    assert.equal(ran, false);
  });

  it('does not let a late timer grant what was due', async () => {
    let us = 0;
    const mutex = new TextMutex({
      clock: { now: () => us / 1000, monotonicUs: () => us, after: () => () => undefined },
    });
    const first = gate();
    const running = mutex.run(who, first.body);
    const late = mutex.run({ ...who, deadlineMs: 50 }, () => 'ran');
    await settle();
    us = 51_000;
    first.open();
    await running;
    const result = await late;
    assert.equal(result.ok ? result.value : result.fault.rule, 'text-mutex.deadline');
  });

  it('answers ECANCELED on abort, before or while waiting, and leaves running work alone', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const first = gate();
    const controllers = [new AbortController(), new AbortController(), new AbortController()];
    const [holder, waiter, early] = controllers;
    assert.ok(holder && waiter && early);
    early.abort();
    const running = mutex.run({ ...who, signal: holder.signal }, first.body);
    let ran = 0;
    const count = (): number => ++ran;
    const waiting = mutex.run({ ...who, signal: waiter.signal }, count);
    const refused = mutex.run({ ...who, signal: early.signal }, count);
    await settle();
    holder.abort();
    waiter.abort();
    for (const result of await Promise.all([waiting, refused])) {
      assert.ok(!result.ok);
      assert.equal(result.fault.errno, 'ECANCELED');
      assert.equal(result.fault.rule, 'text-mutex.aborted');
    }
    first.open();
    assert.deepEqual(await running, { ok: true, value: 'ran' });
    assert.equal(ran, 0);
  });

  it('gives the place of those who gave up to others at once', async () => {
    const mutex = new TextMutex({ clock: new ManualClock(), queueMax: 1 });
    const first = gate();
    const running = mutex.run(who, first.body);
    const controller = new AbortController();
    const waiting = mutex.run({ ...who, signal: controller.signal }, () => 1);
    await settle();
    controller.abort();
    assert.equal((await waiting).ok, false);
    const second = mutex.run(who, () => 2);
    const refused = await mutex.run(who, () => 3);
    assert.equal(refused.ok ? 'ran' : refused.fault.rule, 'text-mutex.queue-full');
    first.open();
    await running;
    assert.deepEqual(await second, { ok: true, value: 2 });
    assert.deepEqual(await mutex.run(who, () => 4), { ok: true, value: 4 });
  });

  it('lets a client with many requests keep another waiting for one of them', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const order: string[] = [];
    const ask = (client: string, n: number) =>
      mutex.run({ client, what: 'x' }, () => {
        order.push(`${client}${n}`);
      });
    const asked = [1, 2, 3, 4, 5].map((n) => ask('greedy', n));
    const others = [ask('a', 1), ask('b', 1), ask('a', 2)];
    await Promise.all([...asked, ...others]);
    assert.deepEqual(order, ['greedy1', 'greedy2', 'a1', 'b1', 'greedy3', 'a2', 'greedy4', 'greedy5']);
  });

  it('answers EDEADLK to a body that asks again, across awaits', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const result = await mutex.run(who, async () => {
      await settle();
      return mutex.run({ client: 'alice', what: 'again' }, () => 'inner');
    });
    assert.ok(result.ok && !result.value.ok);
    assert.equal(result.value.fault.errno, 'EDEADLK');
    assert.equal(result.value.fault.rule, 'text-mutex.reentered');
    assert.equal(mutex.state().acquisitions, 1);
  });

  it('lets a task that outlived its body ask', async () => {
    const mutex = new TextMutex({ clock: new ManualClock() });
    const later = gate();
    let task: Promise<unknown> = Promise.resolve();
    await mutex.run(who, () => {
      task = later.body().then(() => mutex.run(who, () => 'later'));
    });
    later.open();
    assert.deepEqual(await task, { ok: true, value: 'later' });
  });

  it('lets a body take another text_mutex', async () => {
    const clock = new ManualClock();
    const [a, b] = [new TextMutex({ clock }), new TextMutex({ clock })];
    const result = await a.run(who, () => b.run(who, () => 'both'));
    assert.deepEqual(result, { ok: true, value: { ok: true, value: 'both' } });
  });

  it('tells who holds, who waits, since when, and for how long it took', async () => {
    const clock = new ManualClock(1_000);
    const seen: string[] = [];
    const mutex = new TextMutex({
      clock,
      observer: {
        onAcquired: (ms) => seen.push(`acquired ${ms}`),
        onReleased: (ms) => seen.push(`released ${ms}`),
        onRefused: (rule) => seen.push(rule),
      },
    });
    assert.deepEqual(mutex.state().holdMs, { p50: null, p99: null });
    const first = gate();
    const running = mutex.run(who, first.body);
    await settle();
    clock.advance(5);
    const waiting = mutex.run({ client: 'bob', what: 'detach' }, () => 1);
    const late = mutex.run({ client: 'carol', what: 'x', deadlineMs: 1 }, () => 2);
    clock.advance(20);
    const { waitMs, holdMs, ...state } = mutex.state();
    assert.deepEqual(state, {
      holder: 'alice: attach',
      heldSinceMs: 1_000,
      waiting: [{ client: 'bob', sinceMs: 1_005 }],
      acquisitions: 1,
    });
    assert.deepEqual(
      [waitMs, holdMs],
      [
        { p50: 0, p99: 0 },
        { p50: null, p99: null },
      ],
    );
    first.open();
    await Promise.all([running, waiting, late]);
    assert.deepEqual(seen, ['acquired 0', 'text-mutex.deadline', 'released 25', 'acquired 20', 'released 0']);
    assert.deepEqual(mutex.state().waitMs, { p50: 0, p99: 20 });
    assert.deepEqual(mutex.state().holdMs, { p50: 0, p99: 25 });
  });
});
