import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { Decision } from '../decide.ts';

const F = 'tcp_set_state';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

const isGranted = (decision: Decision): boolean => decision.outcome.kind === 'granted';

describe('a kprobe address', () => {
  it('is the ftrace site for the function and for the place behind its ENDBR', async () => {
    const registry = await lab();
    const site = registry.at(F, 4);
    for (const target of [F, `${F}+4`, `${F}+0x4`, registry.address(registry.at(F)), registry.address(site)]) {
      const { id, sites } = registry.attach('kprobe', target);
      assert.deepEqual(sites, [site], target);
      registry.detach(id);
    }
  });

  it('is refused inside the ENDBR and inside the ftrace site', async () => {
    const registry = await lab();
    for (const delta of [1, 2, 3, 5, 6, 7, 8])
      assert.equal(registry.refused('kprobe', `${F}+${delta}`).errno, 'EILSEQ', `+${delta}`);
  });

  it('may be counted from another symbol', async () => {
    const registry = await lab();
    const { sites } = registry.attach('kprobe', `startup_64+0x${registry.at(F, 9).toString(16)}`);
    assert.deepEqual(sites, [registry.at(F, 9)]);
  });

  it('is suggested when the name is nearly right', async () => {
    const registry = await lab();
    assert.match(registry.refused('kprobe', 'tcp_set_stat').remedies?.[0] ?? '', /tcp_set_state/);
  });
});

describe('a kprobe in a body', () => {
  it('is an int3 over the first byte, and a slot with the instruction', async () => {
    const registry = await lab();
    const at = registry.at(F, 9);
    const pristine = registry.hex(at, 8);
    const { id } = registry.attach('kprobe', `${F}+9`);
    assert.equal(registry.hex(at, 8), `cc${pristine.slice(2)}`);
    const slot = registry.state.kprobeTable.get(at)?.slot as number;
    assert.equal(registry.hex(slot, 1), pristine.slice(0, 2));
    assert.equal(registry.site(at).mechanism, 'int3');
    registry.detach(id);
    assert.equal(registry.hex(at, 8), pristine);
    assert.equal(registry.hex(slot, 16), 'cc'.repeat(16));
  });

  it('does not hide the instructions behind it from the next one', async () => {
    const registry = await lab();
    const { image } = registry.world;
    const entry = registry.at('vfs_read');
    const size = image.symbols.containing(entry)?.size ?? 0;
    const granted: string[] = [];
    for (let delta = 9; delta < size; delta++) {
      const decision = registry.decide({ kind: 'kprobe', target: `vfs_read+${delta}` });
      if (decision.outcome.kind === 'granted') granted.push(decision.outcome.attachment.id);
    }
    const once = granted.length;
    assert.ok(once > 10);
    for (const id of granted.splice(0)) registry.detach(id);
    // The other way round the same places are instructions.
    for (let delta = size - 1; delta >= 9; delta--) {
      const decision = registry.decide({ kind: 'kprobe', target: `vfs_read+${delta}` });
      if (decision.outcome.kind === 'granted') granted.push(decision.outcome.attachment.id);
    }
    assert.equal(granted.length, once);
  });

  it('does not hide the function’s start either', async () => {
    const registry = await lab();
    registry.attach('kprobe', F);
    registry.attach('fentry', F);
    registry.attach('kprobe', `${F}+9`);
    assert.deepEqual(registry.orphans(), []);
  });
});

for (const [where, delta] of [
  ['at an ftrace site', 4],
  ['in a body', 9],
] as const)
  describe(`kprobes at one address ${where}`, () => {
    const target = `${F}+${delta}`;
    const armed = (registry: RegistryLab): boolean => {
      const at = registry.at(F, delta);
      return registry.text.u8(at) !== registry.world.pristine.u8(at);
    };

    it('run newest first', async () => {
      const registry = await lab();
      const ids = [1, 2, 3].map(() => registry.attach('kprobe', target).id);
      assert.deepEqual(registry.site(registry.at(F, delta)).chain, ids.toReversed());
    });

    it('are armed until the last is disabled, and again with the first that is enabled', async () => {
      const registry = await lab();
      const [one = '', two = ''] = [1, 2].map(() => registry.attach('kprobe', target).id);
      const site = registry.at(F, delta);
      assert.ok(isGranted(registry.setEnabled(one, false)));
      assert.deepEqual([armed(registry), registry.site(site).chain], [true, [two]]);
      assert.ok(isGranted(registry.setEnabled(two, false)));
      assert.deepEqual([armed(registry), registry.site(site).chain], [false, []]);
      assert.deepEqual([...registry.site(site).owners].sort(), [one, two], 'they still have it');
      assert.ok(isGranted(registry.setEnabled(one, true)));
      assert.deepEqual([armed(registry), registry.site(site).chain], [true, [one]]);
      registry.detach(one);
      assert.deepEqual(registry.orphans(), []);
      registry.detach(two);
      assert.equal(armed(registry), false);
      assert.equal(registry.state.kprobeTable.size, 0);
      assert.equal(registry.state.arena.allocations.size, 0);
    });

    it('may be disabled and enabled twice', async () => {
      const registry = await lab();
      const { id } = registry.attach('kprobe', target);
      for (const enabled of [false, false, true, true]) {
        const decision = registry.setEnabled(id, enabled);
        assert.ok(isGranted(decision));
        assert.equal(armed(registry), enabled);
      }
    });

    it('are armed when one comes to a disabled one', async () => {
      const registry = await lab();
      const first = registry.attach('kprobe', target).id;
      registry.setEnabled(first, false);
      const second = registry.attach('kprobe', target).id;
      assert.ok(armed(registry));
      assert.deepEqual(registry.site(registry.at(F, delta)).chain, [second]);
      registry.detach(second);
      assert.deepEqual(registry.orphans(), []);
      registry.detach(first);
      assert.equal(armed(registry), false);
    });
  });

describe('a post_handler', () => {
  it('at an ftrace site claims IPMODIFY until the aggregate is gone', async () => {
    const registry = await lab();
    const post = registry.attach('kprobe', F, { postHandler: true }).id;
    const plain = registry.attach('kprobe', F).id;
    registry.detach(post);
    // Linux keeps it, so that disarming finds the ops it was armed with.
    assert.equal(registry.site(registry.at(F, 4)).budget['ipmodify'], 0);
    assert.equal(registry.refused('ftrace', F, { ipmodify: true }).holders?.[0]?.attachment, plain);
    registry.detach(plain);
    assert.equal(registry.site(registry.at(F, 4)).budget['ipmodify'], 1);
  });

  it('in a body claims nothing', async () => {
    const registry = await lab();
    registry.attach('kprobe', `${F}+9`);
    registry.attach('kprobe', `${F}+9`, { postHandler: true });
    registry.attach('ftrace', F, { ipmodify: true });
  });

  it('may come second when the first is disabled', async () => {
    const registry = await lab();
    const first = registry.attach('kprobe', F).id;
    registry.setEnabled(first, false);
    const second = registry.attach('kprobe', F, { postHandler: true }).id;
    registry.setEnabled(first, true);
    for (const id of [second, first]) registry.detach(id);
    assert.equal(registry.hex(registry.at(F, 4), 5), '0f1f440000');
    assert.deepEqual(registry.orphans(), []);
  });

  it('cannot be enabled where IPMODIFY went to somebody else meanwhile', async () => {
    const registry = await lab();
    const post = registry.attach('kprobe', F, { postHandler: true }).id;
    registry.setEnabled(post, false);
    const other = registry.attach('ftrace', F, { ipmodify: true }).id;
    const decision = registry.setEnabled(post, true);
    assert.equal(decision.outcome.kind === 'refused' && decision.outcome.fault.rule, 'ftrace.ipmodify.exclusive');
    assert.deepEqual(registry.site(registry.at(F, 4)).chain, [other]);
    assert.deepEqual(registry.orphans(), []);
  });
});
