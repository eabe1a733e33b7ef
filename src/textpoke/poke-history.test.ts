import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BY, hex } from '../../test/textpoke/support.ts';
import { ManualClock, seededPrng } from '../base/index.ts';
import { POKE_HISTORY_BYTES_MAX, PokeHistory, type PokeRecord } from './poke-history.ts';

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);
const sequences = (records: readonly PokeRecord[]): readonly number[] => records.map((r) => r.sequence);

describe('PokeHistory', () => {
  it('keeps sequence, time, place, bytes and author', () => {
    const clock = new ManualClock(5_000);
    const history = new PokeHistory({ clock });
    assert.equal(history.append(16, hex('0f1f440000'), hex('e811223344'), BY), 1);
    clock.advance(3);
    assert.equal(history.append(16, hex('000000000000'), hex('0f84ffffffff'), { ...BY, reason: 'detach' }), 2);
    assert.deepEqual(history.at(16, 1), {
      records: [
        { sequence: 1, timeMs: 5_000, at: 16, length: 5, before: '0f1f440000', after: 'e811223344', by: BY },
        {
          sequence: 2,
          timeMs: 5_003,
          at: 16,
          length: 6,
          before: '000000000000',
          after: '0f84ffffffff',
          by: { ...BY, reason: 'detach' },
        },
      ],
      dropped: 0,
    });
  });

  it('finds a poke from any byte it touched, across pages and sites, in order', () => {
    const history = new PokeHistory({ clock: new ManualClock() });
    history.append(0xffe, filled(5, 0), filled(5, 1), BY);
    history.append(0x1001, filled(1, 0), filled(1, 1), BY);
    history.append(0xffe, filled(1, 0), filled(1, 1), BY);
    const at = (offset: number, length: number) => sequences(history.at(offset, length).records);
    assert.deepEqual(at(0xffd, 1), []);
    assert.deepEqual(at(0xffe, 1), [1, 3]);
    assert.deepEqual(at(0xfff, 1), [1]);
    assert.deepEqual(at(0x1001, 1), [1, 2]);
    assert.deepEqual(at(0x1002, 1), [1]);
    assert.deepEqual(at(0x1003, 9), []);
    assert.deepEqual(at(0, 2 ** 32), [1, 2, 3]);
    assert.deepEqual(at(0x1001, 0), []);
  });

  it('keeps the head of long pokes and their length', () => {
    const history = new PokeHistory({ clock: new ManualClock() });
    history.append(0, filled(5_000, 0xcc), filled(5_000, 0x90), BY);
    const [record] = history.at(4_999, 1).records;
    assert.equal(record?.length, 5_000);
    assert.equal(record?.before, 'cc'.repeat(POKE_HISTORY_BYTES_MAX));
    assert.equal(record?.after, '90'.repeat(POKE_HISTORY_BYTES_MAX));
    history.append(9_000, filled(7, 1), filled(7, 2), BY);
    assert.equal(history.at(9_000, 1).records[0]?.after, '02020202020202');
  });

  it('names the newest ones, of a short history and of a long one, with busy sites and forgotten ones', () => {
    const random = seededPrng(7);
    const history = new PokeHistory({ clock: new ManualClock(), siteMax: 4, totalMax: 200 });
    for (let i = 0; i < 3_000; i++) {
      const at = (random.below(3) === 0 ? random.below(4) : random.below(600)) * 16;
      history.append(at, filled(5, 0), filled(5, 1), BY);
      if (i % 37 !== 0) continue;
      const all = history.at(0, 600 * 16).records;
      for (const limit of [1, 20, 99, 100, 1_000]) assert.deepEqual(history.newest(limit), all.slice(-limit));
    }
  });

  it('keeps the newest of a busy site and counts the rest', () => {
    const history = new PokeHistory({ clock: new ManualClock(), siteMax: 3 });
    for (let i = 0; i < 5; i++) history.append(8, filled(1, i), filled(1, i + 1), BY);
    history.append(9, filled(1, 0), filled(1, 1), BY);
    const { records, dropped } = history.at(8, 1);
    assert.deepEqual(sequences(records), [3, 4, 5]);
    assert.equal(dropped, 2);
    assert.equal(history.at(9, 1).dropped, 0);
    assert.deepEqual(history.state(), { sequence: 6, records: 4, sites: 2, dropped: 2 });
  });

  it('drops the oldest of all when it is full', () => {
    const history = new PokeHistory({ clock: new ManualClock(), totalMax: 4 });
    for (const at of [0, 0, 0x5000, 0x9000, 0x9000, 0, 0x9000]) history.append(at, filled(1, 0), filled(1, 1), BY);
    assert.deepEqual(sequences(history.at(0x5000, 1).records), []);
    assert.deepEqual(sequences(history.at(0, 1).records), [6]);
    assert.deepEqual(sequences(history.at(0x9000, 1).records), [4, 5, 7]);
    assert.deepEqual(history.state(), { sequence: 7, records: 4, sites: 2, dropped: 3 });
  });

  it('keeps a quiet site through any number of pokes of a busy one', () => {
    const history = new PokeHistory({ clock: new ManualClock(), siteMax: 2, totalMax: 4 });
    for (let i = 0; i < 100; i++) history.append(i < 2 ? 0 : 0x5000, filled(1, 0), filled(1, 1), BY);
    assert.deepEqual(sequences(history.at(0, 1).records), [1, 2]);
    assert.deepEqual(sequences(history.at(0x5000, 1).records), [99, 100]);
    history.append(7, filled(1, 0), filled(1, 1), BY);
    assert.deepEqual(sequences(history.at(0, 1).records), [2]);
    assert.deepEqual(history.state(), { sequence: 101, records: 4, sites: 3, dropped: 97 });
  });

  it('calls observers once a poke until they leave', () => {
    const history = new PokeHistory({ clock: new ManualClock() });
    const seen: PokeRecord[] = [];
    const leave = history.onPoke((record) => seen.push(record));
    history.append(1, hex('00'), hex('cc'), BY);
    leave();
    history.append(1, hex('cc'), hex('00'), BY);
    assert.deepEqual(seen, history.at(1, 1).records.slice(0, 1));
  });

  it('records and tells the others when a listener throws', () => {
    const errors: unknown[] = [];
    const history = new PokeHistory({ clock: new ManualClock(), onListenerError: (error) => errors.push(error) });
    const seen: number[] = [];
    const fault = new RangeError('listener');
    history.onPoke(() => {
      throw fault;
    });
    history.onPoke((record) => seen.push(record.sequence));
    assert.equal(history.append(1, hex('00'), hex('cc'), BY), 1);
    assert.deepEqual([errors, seen], [[fault], [1]]);
  });
});
