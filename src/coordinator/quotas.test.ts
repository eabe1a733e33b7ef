import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { ManualClock, seededPrng } from '../base/index.ts';
import { MemoryStore } from '../journal/index.ts';
import { createCoordinator } from './create-coordinator.ts';
import { openDurable } from './durable/open-durable.ts';
import type { Quotas } from './kernel.ts';

const options = async (quotas: Quotas) => ({
  image: await builtinImage(),
  strictness: 'safe' as const,
  clock: new ManualClock(),
  prng: seededPrng(1),
  quotas,
});

describe('quotas', () => {
  it('bound the attachments of each client', async () => {
    const coordinator = createCoordinator(await options({ attachments: 2 }));
    for (const client of ['a', 'b'])
      for (let turn = 0; turn < 3; turn++) {
        const done = await coordinator.attach(caller(client), { kind: 'fentry', target: 'tcp_set_state' }, {});
        assert.equal(done.ok ? 'granted' : done.fault.rule, turn < 2 ? 'granted' : 'quota.attachments');
      }
  });

  it('bound the sites of each client', async () => {
    const coordinator = createCoordinator(await options({ sites: 2 }));
    const many = { kind: 'ftrace', target: ['tcp_set_state', 'vfs_read', 'do_mmap'] } as const;
    assert.ok((await coordinator.attach(caller('a'), many, {})).ok);
    const refused = await coordinator.attach(caller('a'), { kind: 'fentry', target: 'vfs_read' }, {});
    assert.equal(refused.ok ? 'granted' : refused.fault.rule, 'quota.sites');
    assert.ok((await coordinator.attach(caller('b'), { kind: 'fentry', target: 'vfs_read' }, {})).ok);
  });

  it('do not keep a journal from being run again when they are lower now', async () => {
    const store = new MemoryStore();
    const before = await openDurable({ ...(await options({})), store, version: 'test' });
    assert.ok(before.ok);
    for (const target of ['tcp_set_state', 'vfs_read'])
      assert.ok((await before.value.coordinator.attach(caller('a'), { kind: 'fentry', target }, {})).ok);
    const lower = { ...(await options({ attachments: 1 })), version: 'test', store: new MemoryStore(store.commits) };
    const after = await openDurable(lower);
    assert.ok(after.ok);
    const listed = after.value.coordinator.attachments({ limit: 10 });
    assert.equal(listed.ok && listed.value.items.length, 2);
  });
});
