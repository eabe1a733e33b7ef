import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { ManualClock, type Result, seededPrng } from '../../base/index.ts';
import { MemoryStore } from '../../journal/index.ts';
import { createCoordinator } from '../create-coordinator.ts';
import type { Caller, Coordinator, ReadCalls } from '../service.ts';
import { openDurable } from './open-durable.ts';

const ME: Caller = { client: 'test', tenant: 'default', isAdmin: false, requestId: 'req_test' };
const TARGETS = ['tcp_set_state', 'vfs_read', 'vfs_write', 'do_mmap', 'tcp_close', 'tcp_v4_connect'];

const options = async () => ({
  image: await builtinImage(),
  strictness: 'safe' as const,
  clock: new ManualClock(),
  prng: seededPrng(1),
  version: 'test',
});

async function open(store: MemoryStore, snapshotEvery?: number): Promise<Coordinator> {
  const opened = await openDurable({ ...(await options()), store, ...(snapshotEvery ? { snapshotEvery } : {}) });
  assert.ok(opened.ok);
  return opened.value.coordinator;
}

const answerOf = <T>(result: Result<T>): T => {
  assert.ok(result.ok, result.ok ? '' : result.fault.detail);
  return result.value;
};

const ruleOf = (result: Result<unknown>): string => {
  assert.ok(!result.ok, 'it was granted');
  return result.fault.rule;
};

/** What a reader would compare: who is attached, and the bytes of each function. */
const look = (reads: ReadCalls) => ({
  attachments: answerOf(reads.attachments({ limit: 100 })).items.map(({ id, kind }) => [id, kind]),
  text: TARGETS.map((name) => answerOf(reads.text(name, 32)).bytes),
});

/** Attaches and detaches, and keeps what the kernel looked like after each change, by its last event. */
async function history(coordinator: Coordinator): Promise<ReadonlyMap<number, ReturnType<typeof look>>> {
  const seen = new Map<number, ReturnType<typeof look>>();
  let last = 0;
  coordinator.onEvent(({ sequence }) => {
    last = sequence;
  });
  const ids: string[] = [];
  for (const [index, target] of TARGETS.entries()) {
    const kind = index % 2 === 0 ? 'fentry' : 'kprobe';
    const attached = await coordinator.attach(ME, { kind, target }, {});
    if (attached.ok) ids.push(attached.value.id);
    seen.set(last, look(coordinator));
  }
  for (const id of ids) {
    answerOf(await coordinator.detach(ME, id, {}));
    seen.set(last, look(coordinator));
  }
  return seen;
}

describe('the past', () => {
  it('is what it was, after a restart, too', async () => {
    const store = new MemoryStore();
    const coordinator = await open(store);
    const seen = await history(coordinator);
    assert.ok(seen.size > 5);
    const restarted = await open(new MemoryStore(store.commits));
    for (const from of [coordinator, restarted])
      for (const [sequence, before] of seen) assert.deepEqual(look(answerOf(await from.readsAt(sequence))), before);
    assert.deepEqual(look(answerOf(await coordinator.readsAt(0))).attachments, [], 'as it booted');
  });

  it('refuses what is not there yet, what is no longer kept, and all of it without a journal', async () => {
    const store = new MemoryStore();
    const coordinator = await open(store, 1);
    for (let round = 0; round < 3; round++) await history(coordinator);
    const last = Math.max(...(await history(coordinator)).keys());
    assert.equal(ruleOf(await coordinator.readsAt(last + 1)), 'history.not-yet');
    assert.equal(ruleOf(await coordinator.readsAt(1)), 'history.compacted');
    assert.ok((await coordinator.readsAt(last)).ok);
    assert.equal(ruleOf(await createCoordinator(await options()).readsAt(1)), 'history.unavailable');
  });

  it('blames the poke that wrote a byte, and nobody for the others', async () => {
    const coordinator = await open(new MemoryStore());
    const before = answerOf(coordinator.blame('tcp_set_state', 16));
    assert.deepEqual(
      before.runs.map(({ poke }) => poke),
      [null],
    );
    const { id } = answerOf(await coordinator.attach(ME, { kind: 'fentry', target: 'tcp_set_state' }, {}));
    const { runs } = answerOf(coordinator.blame('tcp_set_state', 16));
    const changed = runs.filter(({ poke }) => poke !== null);
    assert.equal(changed.length, 1);
    assert.equal(changed[0]?.poke?.attachment, id);
    assert.notEqual(changed[0]?.current, changed[0]?.original);
    assert.equal(runs.map(({ original }) => original).join(''), before.runs[0]?.original);
  });
});
