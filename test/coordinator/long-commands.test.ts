/**
 * Commands that take long. Goal: whether a command rests between its steps, and what happens then, changes nothing of what comes of it; and who
 * looks while it rests sees the kernel as it was before. Method: a clock on which every step takes long, so that there is a rest at each; beside it
 * one that stands still, where there is none; the same commands over both.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Clock, ManualClock, seededPrng } from '../../src/base/index.ts';
import { audit } from '../../src/coordinator/audit.ts';
import type { Command, CommandProgress } from '../../src/coordinator/command.ts';
import { ATTACH, DETACH } from '../../src/coordinator/commands.ts';
import { openDurable } from '../../src/coordinator/durable/open-durable.ts';
import { Kernel } from '../../src/coordinator/kernel.ts';
import type { AttachRequest, Caller } from '../../src/coordinator/service.ts';
import { MemoryStore } from '../../src/journal/index.ts';
import { builtinImage } from '../support/images.ts';

const ME: Caller = { client: 'test', tenant: 'default', isAdmin: true, requestId: 'req_test' };
const ALL = { pattern: '*' };
const MANY: readonly AttachRequest[] = [
  { kind: 'fentry', target: 'tcp_set_state' },
  { kind: 'ftrace', target: ALL },
  { kind: 'kprobe_multi', target: ALL },
  { kind: 'ftrace', target: ['tcp_set_state', 'vfs_read'], options: { ipmodify: true } },
  { kind: 'ftrace', target: ['vfs_read', 'no_such_function'] },
];

/** Each look at it is a fifth of a second later than the last. */
class Hurried extends ManualClock {
  #us = 0;

  override monotonicUs(): number {
    this.#us += 200_000;
    return this.#us;
  }
}

const kernelWith = async (clock: Clock): Promise<Kernel> =>
  new Kernel({ image: await builtinImage(), strictness: 'safe', clock, prng: seededPrng(1) });

function textOf({ text }: Kernel): string {
  const hash = createHash('sha256');
  for (const { at, length } of text.changedRanges()) hash.update(`${at}:`).update(text.bytes(at, length));
  return hash.digest('hex');
}

const isClean = (kernel: Kernel): boolean => {
  const { orphans } = audit(kernel);
  return orphans.length === 0;
};

/** Without what the clock says. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, each) =>
      key === 'textMutexHeldUs' ? 0 : typeof each === 'bigint' ? String(each) : each,
    ),
  );

/** Runs everything, detaches all of it, and says all that could be seen. */
async function session(kernel: Kernel): Promise<unknown> {
  const seen: unknown[] = [];
  const run = async <Input>(command: Command<Input, unknown>, input: Input): Promise<void> => {
    seen.push([await kernel.execute(command, ME, input), textOf(kernel)]);
    assert.ok(isClean(kernel));
  };
  for (const request of MANY) await run(ATTACH, { request });
  for (const id of [...kernel.state.attachments.keys()].sort()) await run(DETACH, { id });
  seen.push(kernel.events.after(0, 100_000), kernel.state, kernel.text.history.newest(1_000));
  return plain(seen);
}

describe('a command that takes long', () => {
  it('comes to the same with a rest at every step as without one', async () => {
    const hurried = await kernelWith(new Hurried());
    let rests = 0;
    hurried.progressListeners.add(() => rests++);
    const still = await kernelWith(new ManualClock());
    still.progressListeners.add(() => assert.fail('a rest on a clock that stands still'));
    assert.deepEqual(await session(hurried), await session(still));
    assert.ok(rests > 30, `${rests} rests`);
    assert.equal(hurried.events.after(0, 1e6).filter(({ type }) => type === 'rejected').length, 1);
  });

  it('is not there before its end: who looks meanwhile sees text, owners, events and audit from before, and waits with changes', async () => {
    const kernel = await kernelWith(new Hurried());
    await kernel.execute(ATTACH, ME, { request: { kind: 'fentry', target: 'tcp_set_state' } });
    const before = { text: textOf(kernel), state: kernel.state, events: kernel.events.range().last };
    const told: CommandProgress[] = [];
    kernel.progressListeners.add((progress) => {
      if (progress.command !== 'attach ftrace') return;
      told.push(progress);
      assert.equal(textOf(kernel), before.text);
      assert.ok(kernel.state === before.state);
      assert.equal(kernel.events.range().last, before.events);
      assert.ok(isClean(kernel));
      assert.equal(kernel.mutex.state().holder, 'test: attach ftrace');
    });
    const long = kernel.execute(ATTACH, ME, { request: { kind: 'ftrace', target: ALL } });
    const next = kernel.execute(ATTACH, ME, { request: { kind: 'kprobe', target: 'vfs_read+0x4' } });
    let turns = 0;
    const other = async (): Promise<void> => {
      for (; kernel.state === before.state && turns < 10_000; turns++)
        await new Promise((resolve) => setImmediate(resolve));
    };
    const [answer] = await Promise.all([long, next, other()]);
    assert.ok(answer.ok);
    assert.ok(turns > 5, `${turns} turns of the event loop`);
    assert.ok(told.length > 5);
    assert.ok(
      told.every((each) => each.client === 'test' && each.command === 'attach ftrace' && each.done <= each.total),
    );
    const kinds = kernel.events.after(before.events, 1_000).filter(({ type }) => type !== 'poke');
    assert.deepEqual(
      kinds.map(({ data }) => data['kind']),
      ['ftrace', 'kprobe'],
    );
  });

  it('goes on to its end when its client goes away in the middle', async () => {
    const kernel = await kernelWith(new Hurried());
    const gone = new AbortController();
    kernel.progressListeners.add(() => gone.abort());
    const answer = await kernel.execute(
      ATTACH,
      { ...ME, signal: gone.signal },
      { request: { kind: 'ftrace', target: ALL } },
    );
    assert.ok(gone.signal.aborted && answer.ok);
    assert.equal(kernel.state.attachments.size, 1);
    assert.ok(isClean(kernel));
  });

  it('poisons the kernel when somebody changes it meanwhile', async () => {
    const kernel = await kernelWith(new Hurried());
    kernel.progressListeners.add(() => {
      kernel.state = { ...kernel.state };
    });
    const attaching = kernel.execute(ATTACH, ME, { request: { kind: 'ftrace', target: ALL } });
    await assert.rejects(attaching, /changed while text_mutex was held/);
    assert.match(kernel.violation ?? '', /changed while/);
    assert.equal(kernel.mutex.state().holder, null);
  });

  it('has the number of its own event, though others happened meanwhile, and is recovered so', async () => {
    const image = await builtinImage();
    const store = new MemoryStore();
    const options = { image, strictness: 'safe' as const, prng: seededPrng(1), version: 'test' };
    const opened = await openDurable({ ...options, clock: new Hurried(), store });
    assert.ok(opened.ok);
    const { coordinator } = opened.value;
    // A call in the simulated kernel is told without a command.
    let call: Promise<unknown> | undefined;
    coordinator.onProgress(() => {
      call ??= coordinator.call(ME, { function: 'tcp_set_state', args: [] });
    });
    const answer = await coordinator.attach(ME, { kind: 'ftrace', target: ALL }, {});
    await call;
    assert.ok(answer.ok && call !== undefined);
    const { sequence } = answer.value;
    const attached = coordinator.eventsAfter(0, 1e6).find(({ type }) => type === 'attached');
    assert.equal(attached?.sequence, sequence);
    const again = await openDurable({ ...options, clock: new ManualClock(), store: new MemoryStore(store.commits) });
    assert.ok(again.ok);
    const listed = again.value.coordinator.attachments({ limit: 10 });
    const now = coordinator.attachments({ limit: 10 });
    assert.ok(listed.ok && now.ok);
    assert.deepEqual(listed.value.items, now.value.items);
    assert.equal(listed.value.items[0]?.sequence, sequence);
  });
});
