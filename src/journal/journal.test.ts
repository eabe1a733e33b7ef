import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ManualClock } from '../base/index.ts';
import { decodeEntry, encodeEntry } from './entry-format.ts';
import { openLmdbStore } from './lmdb-store.ts';
import { MemoryStore } from './memory-store.ts';
import { type JournalIdentity, openJournal, readJournal } from './open-journal.ts';
import { type JournalStore, META, recordKey, snapshotKey } from './store.ts';
import { upgradeEntry } from './upgrade.ts';

const IDENTITY: JournalIdentity = {
  image: 'ab'.repeat(32),
  release: '6.12.0-test',
  profile: 'max',
  strictness: 'safe',
  madeBy: '0.1.0',
};

async function open(
  store: JournalStore,
  options: { readonly identity?: JournalIdentity; readonly clock?: ManualClock } = {},
) {
  const { identity = IDENTITY, clock = new ManualClock() } = options;
  return openJournal({ store, identity, clock, snapshotsKept: 2 });
}

async function opened(store: JournalStore, clock = new ManualClock()) {
  const result = await open(store, { clock });
  assert.ok(result.ok, 'the journal opens');
  return result.value;
}

const numbers = (store: JournalStore, kind: 'record' | 'snapshot') =>
  [...store.entries(kind)].map(({ number }) => number);

describe('an entry', () => {
  it('comes back as it was', () => {
    const value = { a: [1, 'zwei', null], ü: true };
    assert.deepEqual(decodeEntry(encodeEntry(value)), { kind: 'entry', value, version: 1 });
  });

  it('is found damaged whichever bit of it changed', () => {
    const bytes = encodeEntry({ kind: 'attach', n: 7 });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Uint8Array.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(decodeEntry(damaged).kind, 'damaged', `bit ${bit}`);
    }
    for (let length = 0; length < bytes.length; length++)
      assert.equal(decodeEntry(bytes.subarray(0, length)).kind, 'damaged', `cut to ${length}`);
  });

  it('of an older format is brought up step by step; of a newer one it is refused', () => {
    const steps = new Map<number, (kind: string, value: unknown) => unknown>([
      [1, (kind: string, value: unknown) => ({ kind, value })],
      [2, (_kind: string, value: unknown) => [value]],
    ]);
    assert.deepEqual(upgradeEntry('record', 5, 1, steps, 3), { ok: true, value: [{ kind: 'record', value: 5 }] });
    assert.equal(upgradeEntry('record', 5, 4, steps, 3).ok, false);
    assert.equal(upgradeEntry('record', 5, 0, steps, 3).ok, false);
    assert.deepEqual(upgradeEntry('record', 5, 1), { ok: true, value: 5 });
  });
});

describe('the journal', () => {
  it('acknowledges in order, and what came in one turn shares a commit', async () => {
    const store = new MemoryStore();
    const { journal } = await opened(store);
    const answered: number[] = [];
    const tickets = Array.from({ length: 20 }, (_, i) =>
      journal.append({ i }).then((done) => {
        assert.ok(done.ok);
        answered.push(done.value);
      }),
    );
    assert.equal(journal.flushed, 0);
    await Promise.all(tickets);
    assert.deepEqual(
      answered,
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    assert.equal(store.commits.length, 2, 'one for the identity, one for all records');
    assert.deepEqual(readJournal(store).damage, []);
  });

  it('acknowledges nothing while the disk fails, and goes on by itself when it is back, without a gap', async () => {
    const [store, clock] = [new MemoryStore(), new ManualClock()];
    const { journal } = await opened(store, clock);
    store.fault = { kind: 'fail', code: 'ENOSPC' };
    const failed = await journal.append({ n: 1 });
    assert.ok(!failed.ok);
    assert.equal(failed.fault.rule, 'journal.disk-full');
    assert.equal(journal.failing?.rule, 'journal.disk-full');
    assert.equal((await journal.drain()).ok, false);
    store.fault = undefined;
    clock.advance(500);
    assert.ok((await journal.drain()).ok);
    assert.equal(journal.failing, undefined);
    assert.equal(journal.flushed, 1);
    assert.ok((await journal.append({ n: 2 })).ok);
    assert.deepEqual(numbers(store, 'record'), [1, 2]);
  });

  it('keeps the last snapshots and the records behind the oldest of them', async () => {
    const store = new MemoryStore();
    const { journal } = await opened(store);
    for (let round = 1; round <= 4; round++) {
      for (let i = 0; i < 3; i++) await journal.append({ round, i });
      journal.snapshot(JSON.stringify({ round }));
      await journal.drain();
    }
    await journal.append({ last: true });
    assert.deepEqual(numbers(store, 'snapshot'), [9, 12]);
    assert.deepEqual(numbers(store, 'record'), [10, 11, 12, 13]);
    const again = await opened(store);
    assert.deepEqual(
      again.contents.snapshots.map(({ value }) => value),
      [{ round: 3 }, { round: 4 }],
    );
    assert.equal(again.journal.appended, 13);
  });

  it('keeps snapshots apart: one that comes sooner takes the place of the newest', async () => {
    const store = new MemoryStore();
    const options = { store, identity: IDENTITY, clock: new ManualClock(), snapshotsKept: 3, snapshotsApart: 4 };
    const result = await openJournal(options);
    assert.ok(result.ok);
    const { journal } = result.value;
    const kept: number[][] = [];
    for (let n = 1; n <= 12; n++) {
      await journal.append({ n });
      if (n % 2 !== 0) continue;
      journal.snapshot(JSON.stringify({ n }));
      await journal.drain();
      kept.push(numbers(store, 'snapshot'));
    }
    assert.deepEqual(kept, [[2], [4], [4, 6], [4, 8], [4, 8, 10], [4, 8, 12]]);
    assert.deepEqual(numbers(store, 'record'), [5, 6, 7, 8, 9, 10, 11, 12]);
    const again = await openJournal(options);
    assert.ok(again.ok);
    assert.deepEqual(again.value.contents.snapshots.at(-1), { number: 12, value: { n: 12 } });
  });

  it('refuses a journal that is damaged, saying where', async () => {
    const make = async () => {
      const store = new MemoryStore();
      const { journal } = await opened(store);
      for (let i = 0; i < 3; i++) await journal.append({ i });
      return store;
    };
    const flipped = await make();
    const bytes = Uint8Array.from(flipped.get(recordKey(2)) ?? []);
    bytes[9] = (bytes[9] ?? 0) ^ 1;
    flipped.damage(recordKey(2), bytes);
    const refused = await open(flipped);
    assert.ok(!refused.ok);
    assert.equal(refused.fault.rule, 'journal.corrupt');
    assert.match(refused.fault.detail, /record 2: checksum/);

    const gap = await make();
    gap.damage(recordKey(5), encodeEntry({}));
    const refusedGap = await open(gap);
    assert.ok(!refusedGap.ok && /record 4: missing/.test(refusedGap.fault.detail));

    const ahead = await make();
    ahead.damage(snapshotKey(9), encodeEntry({}));
    assert.equal((await open(ahead)).ok, false);
  });

  it('refuses the journal of another kernel', async () => {
    const store = new MemoryStore();
    await opened(store);
    const refused = await open(store, { identity: { ...IDENTITY, profile: 'mine' } });
    assert.ok(!refused.ok);
    assert.equal(refused.fault.rule, 'journal.other-kernel');
    assert.ok((await open(store, { identity: { ...IDENTITY, madeBy: '9' } })).ok, 'another version may go on');
  });

  it('keeps its promise in LMDB, too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ktextd-journal-'));
    try {
      const store = await openLmdbStore(folder);
      const { journal } = await opened(store);
      for (let i = 1; i <= 300; i++) void journal.append({ i });
      journal.snapshot(JSON.stringify({ at: 300 }));
      await journal.append({ i: 301 });
      await journal.close();
      const again = await openLmdbStore(folder);
      const { contents, damage } = readJournal(again);
      assert.deepEqual(damage, []);
      assert.equal(contents.snapshots.length, 1);
      assert.equal(contents.records.length, 301);
      assert.deepEqual(contents.records.at(-1), { number: 301, value: { i: 301 } });
      assert.ok(again.get(META) !== undefined);
      await again.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
