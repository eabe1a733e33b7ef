import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { labModule } from '../../../test/support/modules.ts';
import { ManualClock, seededPrng } from '../../base/index.ts';
import { MemoryStore } from '../../journal/index.ts';
import type { Caller, Coordinator } from '../service.ts';
import { openDurable } from './open-durable.ts';

const ME: Caller = { client: 'test', tenant: 'default', isAdmin: true, requestId: 'req_test' };

async function open(store: MemoryStore): Promise<Coordinator> {
  const opened = await openDurable({
    image: await builtinImage(),
    strictness: 'safe',
    clock: new ManualClock(),
    prng: seededPrng(1),
    version: 'test',
    store,
  });
  assert.ok(opened.ok, JSON.stringify(opened));
  return opened.value.coordinator;
}

/** All that a reader sees of a kernel with the lab module in it. */
function shown(coordinator: Coordinator) {
  const { orphans, differing, attributed } = coordinator.audit();
  assert.deepEqual(orphans, []);
  return {
    differing,
    attributed,
    module: coordinator.module('lab'),
    symbol: coordinator.symbol('lab_t1'),
    text: coordinator.text('lab:lab_t1', 64),
    site: coordinator.site('lab:lab_t1'),
    probes: coordinator.kernelView('debug/kprobes/list'),
    functions: coordinator.kernelView('tracing/enabled_functions'),
  };
}

async function withOwners(store: MemoryStore, until: 'coming' | 'live'): Promise<Coordinator> {
  const coordinator = await open(store);
  assert.ok((await coordinator.loadModule(ME, labModule(), until)).ok);
  for (const request of [
    { kind: 'fentry', target: 'lab:lab_t1' },
    { kind: 'kprobe', target: 'lab:lab_t1+0x10' },
    { kind: 'jump_label', target: 'lab:lab_key' },
  ] as const)
    assert.ok((await coordinator.attach(ME, request, {})).ok, request.kind);
  // Closing does, too.
  await coordinator.waitForKprobeOptimizer();
  return coordinator;
}

describe('modules in the journal', () => {
  for (const until of ['coming', 'live'] as const)
    it(`a ${until} one is as it was, from the commands and from a snapshot`, async () => {
      const store = new MemoryStore();
      const coordinator = await withOwners(store, until);
      const before = shown(coordinator);
      assert.ok(before.module.ok && before.attributed > 0);
      assert.deepEqual(shown(await open(new MemoryStore(store.commits))), before);
      await coordinator.close();
      const restored = await open(new MemoryStore(store.commits));
      assert.deepEqual(shown(restored), before, 'from the snapshot');
      if (until === 'coming') assert.ok((await restored.setModuleState(ME, 'lab', 'live')).ok);
      const kept = await restored.unloadModule(ME, 'lab');
      assert.ok(!kept.ok && kept.fault.rule === 'module.in-use');
      const attachments = restored.attachments({ limit: 10 });
      assert.ok(attachments.ok);
      for (const { id } of attachments.value.items) assert.ok((await restored.detach(ME, id)).ok);
      assert.ok((await restored.unloadModule(ME, 'lab')).ok);
      assert.equal(restored.audit().differing, 0);
    });

  it('one that was unloaded stays away, and its probes are GONE', async () => {
    const store = new MemoryStore();
    const coordinator = await open(store);
    assert.ok((await coordinator.loadModule(ME, labModule(), 'live')).ok);
    assert.ok((await coordinator.attach(ME, { kind: 'kprobe', target: 'lab:lab_t1+0x10' }, {})).ok);
    assert.ok((await coordinator.unloadModule(ME, 'lab')).ok);
    const replayed = await open(new MemoryStore(store.commits));
    await coordinator.close();
    const restored = await open(new MemoryStore(store.commits));
    for (const each of [coordinator, replayed, restored]) {
      assert.ok(!each.module('lab').ok);
      const probes = each.kernelView('debug/kprobes/list');
      assert.ok(probes.ok);
      assert.match(probes.value, /\[GONE\]/);
      assert.deepEqual(each.audit().orphans, []);
    }
  });
});
