import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../test/support/images.ts';
import { RegistryLab } from '../../test/support/registry-lab.ts';
import { dataObject, install, remove } from './arena.ts';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

const START = 0xffff_ffff_c000_0000n;

describe('the arena', () => {
  it('lies behind 0xffffffffc0000000, in chunks of 64 and slots of 16', async () => {
    const registry = await lab();
    const txn = registry.draft();
    const code = (size: number) => install(txn, { size, what: 'code' }, () => new Uint8Array(size).fill(0x90));
    const places = [1, 16, 17, 64, 65, 16, 1].map(code);
    const [first = 0] = places;
    const start = Number(START - registry.world.image.base);
    assert.ok(first >= start && (first - start) % 64 === 0);
    assert.deepEqual(
      places.map((at) => at - first),
      [0, 16, 64, 128, 192, 320, 336],
    );
    const pieces = [...txn.arena.allocations.values()].sort((a, b) => a.at - b.at);
    for (const [i, { at, size }] of pieces.entries())
      assert.ok(i + 1 === pieces.length || at + size <= (pieces[i + 1]?.at ?? 0), 'no two overlap');
  });

  it('gives room of the same size again, and text is int3 in between', async () => {
    const registry = await lab();
    const txn = registry.draft();
    const code = () => install(txn, { size: 20, what: 'code' }, () => new Uint8Array(20).fill(0x90));
    const [one, two] = [code(), code()];
    remove(txn, one, ['rcu_tasks']);
    assert.deepEqual(txn.text.bytes(one, 20), new Uint8Array(20).fill(0xcc));
    assert.deepEqual(txn.graces, ['rcu_tasks']);
    assert.equal(code(), one);
    assert.notEqual(code(), two);
    assert.throws(() => remove(txn, one + 1, []));
  });

  it('hands out data addresses once', async () => {
    const txn = (await lab()).draft();
    const one = dataObject(txn, 3);
    const two = dataObject(txn, 8);
    assert.equal(two - one, 8n);
  });

  it('does not grow when owners come and go', async () => {
    const registry = await lab();
    const cycle = (): number => {
      const ids = [
        registry.attach('fentry', 'tcp_set_state').id,
        registry.attach('fentry', 'tcp_set_state').id,
        registry.attach('kprobe', 'tcp_set_state').id,
        registry.attach('kprobe', 'tcp_set_state+9').id,
        registry.attach('ftrace', 'vfs_read', { saveRegs: true }).id,
        registry.attach('ftrace_direct', 'do_mmap').id,
      ];
      for (const id of ids) registry.detach(id);
      assert.equal(registry.state.arena.allocations.size, 0);
      return registry.state.arena.next;
    };
    const after = cycle();
    for (let i = 0; i < 20; i++) assert.equal(cycle(), after);
  });
});
