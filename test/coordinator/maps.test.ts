/** Maps across a restart: from the records of the journal alone, and from a snapshot. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, type MapRecords, openDurable } from '../../src/coordinator/index.ts';
import { MemoryStore } from '../../src/journal/index.ts';
import { COUNT_AND_SEND } from '../support/bpf-code.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';
import { value } from '../support/results.ts';

const ME = caller();

async function open(store: MemoryStore): Promise<Coordinator> {
  const image = await builtinImage();
  const options = { image, strictness: 'safe', clock: systemClock, prng: seededPrng(1), version: 'test' } as const;
  return value(await openDurable({ ...options, store })).coordinator;
}

async function contents(coordinator: Coordinator): Promise<readonly unknown[]> {
  const maps = value(coordinator.maps(ME, { limit: 100 })).items;
  const rings = maps.filter(({ type }) => type === 'ringbuf');
  const records: MapRecords[] = [];
  for (const { id } of rings) records.push(value(await coordinator.mapRecords(ME, id, {})));
  return [maps, maps.map(({ id }) => value(coordinator.mapEntries(ME, id, { limit: 100 })).items), records];
}

describe('maps and a journal', () => {
  it('hold what calls, runs, writes and readers left, without a program being run again', async () => {
    const store = new MemoryStore();
    const first = await open(store);
    const ring = { name: 'r', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 4096 } as const;
    const counts = value(
      await first.createMap(ME, { ...ring, name: 'c', type: 'lru_hash', keySize: 8, valueSize: 8, maxEntries: 3 }),
    );
    const events = value(await first.createMap(ME, ring));
    const maps = [counts.id, events.id];
    const program = value(
      await first.loadProgram(ME, { type: 'fentry', bytecode: COUNT_AND_SEND, maps, attachTo: 'tcp_set_state' }),
    ).id;
    value(await first.attach(ME, { kind: 'fentry', target: 'tcp_set_state', program }, {}));
    const call = (state: number) =>
      first.call(ME, { function: 'tcp_set_state', args: [{ buffer: '00'.repeat(256) }, state] });
    for (const state of [1, 2, 1, 3, 4]) assert.equal(value(await call(state)).ended, 'returned');
    assert.equal(value(await first.consumeMapRecords(ME, events.id, { max: 2 })).records.length, 2);
    value(await first.updateMapEntry(ME, counts.id, { key: '0900000000000000', value: 'ff'.repeat(8) }));
    value(await first.runProgram(ME, program, { input: '00'.repeat(16), via: 'interpreter' }));
    const before = await contents(first);
    const [, entries, records] = before as [unknown, readonly (readonly unknown[])[], readonly MapRecords[]];
    assert.deepEqual([entries[0]?.length, records[0]?.records.length], [3, 4]);

    const replayed = await open(new MemoryStore(store.commits));
    assert.deepEqual(await contents(replayed), before);
    await replayed.close();
    await first.close();
    const fromSnapshot = await open(new MemoryStore(store.commits));
    assert.deepEqual(await contents(fromSnapshot), before);
    await fromSnapshot.close();
  });
});
