import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { type Fault, ManualClock, type Result, seededPrng } from '../../base/index.ts';
import { MemoryStore, type StoreFault } from '../../journal/index.ts';
import type { Caller, Coordinator } from '../service.ts';
import { openDurable, openDurableFolder } from './open-durable.ts';
import { JOURNAL_RULES } from './rules.ts';

const ME: Caller = { client: 'test', tenant: 'default', isAdmin: false, requestId: 'req_test' };
const FENTRY = { kind: 'fentry', target: 'tcp_set_state' } as const;

async function options(clock = new ManualClock()) {
  return { image: await builtinImage(), strictness: 'safe' as const, clock, prng: seededPrng(1), version: 'test' };
}

async function open(store: MemoryStore, clock = new ManualClock()): Promise<Coordinator> {
  const opened = await openDurable({ ...(await options(clock)), store });
  assert.ok(opened.ok);
  return opened.value.coordinator;
}

const faultOf = (result: Result<unknown>): Fault => {
  assert.ok(!result.ok, 'it was granted');
  return result.fault;
};

async function withFolder(body: (folder: string) => Promise<Fault>): Promise<Fault> {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-durable-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A disk that fails as told: the change is not acknowledged, reads go on, and when the disk is back so is the service. */
async function failingDisk(fault: StoreFault): Promise<Fault> {
  const [store, clock] = [new MemoryStore(), new ManualClock()];
  const coordinator = await open(store, clock);
  const heard: string[] = [];
  coordinator.onEvent(({ type }) => heard.push(type));
  store.fault = fault;
  const first = faultOf(await coordinator.attach(ME, FENTRY, {}));
  const second = faultOf(await coordinator.attach(ME, { kind: 'kprobe', target: 'vfs_read' }, {}));
  assert.equal(second.rule, first.rule, 'refused at the door while the disk fails');
  assert.deepEqual(heard, [], 'nobody hears of what is not on disk');
  assert.ok(coordinator.text('tcp_set_state', 16).ok);
  store.fault = undefined;
  await new Promise<void>((resolve) => setImmediate(resolve));
  clock.advance(500);
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  assert.equal(heard.filter((type) => type === 'attached').length, 1, 'the first change, and it alone');
  assert.ok((await coordinator.attach(ME, { kind: 'kprobe', target: 'vfs_read' }, {})).ok);
  const again = await open(new MemoryStore(store.commits));
  const listed = again.attachments({ limit: 10 });
  assert.deepEqual(listed.ok && listed.value.items.map(({ kind }) => kind).sort(), ['fentry', 'kprobe']);
  return first;
}

/** A change that became durable after its client was told that nobody knows is answered, not made again. */
async function retriedAfterFailure(): Promise<void> {
  const [store, clock] = [new MemoryStore(), new ManualClock()];
  const coordinator = await open(store, clock);
  const me = { ...ME, idempotency: { scope: 'default\nkey', hash: 'aa' } };
  store.fault = { kind: 'fail', code: 'ENOSPC' };
  assert.equal(faultOf(await coordinator.attach(me, FENTRY, {})).rule, 'journal.disk-full');
  store.fault = undefined;
  await new Promise<void>((resolve) => setImmediate(resolve));
  clock.advance(500);
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  const again = await coordinator.attach(me, FENTRY, {});
  const listed = coordinator.attachments({ limit: 10 });
  assert.ok(again.ok && listed.ok);
  assert.deepEqual(
    listed.value.items.map(({ id }) => id),
    [again.value.id],
  );
  const other = await coordinator.attach({ ...me, idempotency: { scope: 'default\nother', hash: 'aa' } }, FENTRY, {});
  assert.ok(other.ok && other.value.id !== again.value.id);
}

const CASES: Readonly<Record<string, () => Promise<Fault>>> = {
  'journal.corrupt': async () => {
    const store = new MemoryStore();
    const coordinator = await open(store);
    assert.ok((await coordinator.attach(ME, FENTRY, {})).ok);
    store.damage({ kind: 'record', number: 1 }, new Uint8Array(40));
    return faultOf(await openDurable({ ...(await options()), store }));
  },
  'journal.other-kernel': async () => {
    const store = new MemoryStore();
    await open(store);
    return faultOf(await openDurable({ ...(await options()), strictness: 'linux', store }));
  },
  'journal.in-use': () =>
    withFolder(async (folder) => {
      const first = await openDurableFolder({ ...(await options()), folder });
      assert.ok(first.ok);
      const fault = faultOf(await openDurableFolder({ ...(await options()), folder }));
      await first.value.coordinator.close();
      const third = await openDurableFolder({ ...(await options()), folder });
      assert.ok(third.ok, 'closing frees the directory');
      await third.value.coordinator.close();
      return fault;
    }),
  'journal.unusable': () =>
    withFolder(async (folder) => {
      writeFileSync(join(folder, 'file'), '');
      return faultOf(await openDurableFolder({ ...(await options()), folder: join(folder, 'file') }));
    }),
  'journal.disk-full': () => failingDisk({ kind: 'fail', code: 'ENOSPC' }),
  'journal.write-failed': () => failingDisk({ kind: 'fail', code: 'EIO' }),
};

describe('a kernel with a journal', () => {
  for (const [rule, refuse] of Object.entries(CASES))
    it(`refuses by ${rule}`, async () => {
      assert.equal((await refuse()).rule, rule);
    });

  it('refuses by all of the journal’s rules and by no other', () => {
    assert.deepEqual(Object.keys(CASES).sort(), JOURNAL_RULES.map(({ id }) => id).sort());
  });

  it('answers a repeated request as before, after a restart, too', async () => {
    const store = new MemoryStore();
    const idempotency = { scope: 'default\nkey', hash: 'aa' };
    const first = await (await open(store)).attach({ ...ME, idempotency }, FENTRY, {});
    assert.ok(first.ok);
    const [answer] = (await open(new MemoryStore(store.commits))).recoveredAnswers();
    assert.deepEqual(answer, {
      ...idempotency,
      command: 'attach',
      timeMs: new ManualClock().now(),
      value: first.value,
    });
  });

  it('does not do twice what became durable after the disk had failed', retriedAfterFailure);

  it('keeps who changed a byte, from the snapshot on as from the commands', async () => {
    const store = new MemoryStore();
    const coordinator = await open(store);
    assert.ok((await coordinator.attach(ME, FENTRY, {})).ok);
    const before = coordinator.siteHistory('tcp_set_state', { limit: 10 });
    assert.ok(before.ok && before.value.items.length > 0);
    const replayed = await open(new MemoryStore(store.commits));
    assert.deepEqual(replayed.siteHistory('tcp_set_state', { limit: 10 }), before);
    await coordinator.close();
    const restored = await open(new MemoryStore(store.commits));
    assert.deepEqual(restored.siteHistory('tcp_set_state', { limit: 10 }), before);
  });
});
