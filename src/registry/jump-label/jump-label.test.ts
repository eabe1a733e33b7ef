import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { Strictness } from '../model/request.ts';
import { keySites } from './update.ts';

/** Off after boot, with five branches of two bytes. */
const KEY = 'bpf_stats_enabled_key';
/** On after boot, with one branch of five bytes. */
const BOOT_ON = 'fs_write_accounting';

const lab = async (strictness: Strictness = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

const opcodes = (on: RegistryLab, sites: readonly number[]): readonly string[] => sites.map((site) => on.hex(site, 1));

describe('jump_label', () => {
  it('switches every branch of a key in one sorted batch, and back', async () => {
    const on = await lab();
    const sites = keySites(on.world, on.at(KEY));
    assert.equal(sites.length, 5);
    const decision = on.decide({ kind: 'jump_label', target: KEY });
    assert.equal(decision.outcome.kind, 'granted');
    assert.deepEqual(decision.ops.length, 1);
    const [op] = decision.ops;
    assert.ok(op?.kind === 'batch');
    assert.deepEqual(
      op.changes.map(({ at }) => at),
      [...sites].sort((a, b) => a - b),
    );
    assert.deepEqual(new Set(opcodes(on, sites)), new Set(['eb']));
    assert.deepEqual(on.orphans(), []);
    on.detach('att_1');
    assert.deepEqual(new Set(opcodes(on, sites)), new Set(['66']));
    assert.equal(on.state.staticKeys.size, 0);
  });

  it('knows two-byte and five-byte branches, likely and unlikely ones', async () => {
    for (const [key, before, after] of [
      ['tcp_tx_delay_enabled', '0f', 'e9'],
      ['sched_asym_key', 'eb', '66'],
      ['tcp_rx_skb_cache_key', '66', 'eb'],
    ] as const) {
      const on = await lab();
      const [site] = keySites(on.world, on.at(key));
      assert.ok(site !== undefined);
      assert.equal(on.hex(site, 1), before);
      const { isBranch } = on.world.image.jumpLabels;
      const isOn = (before === 'eb') !== isBranch(on.world.image.jumpLabels.code.indexOf(site));
      on.attach('jump_label', key, { enabled: !isOn });
      assert.equal(on.hex(site, 1), after, key);
    }
  });

  it('counts users: the key goes off with the last of them, whatever the order', async () => {
    for (const leaving of [
      ['att_1', 'att_2', 'att_3'],
      ['att_3', 'att_1', 'att_2'],
    ]) {
      const on = await lab();
      const [site] = keySites(on.world, on.at(KEY));
      assert.ok(site !== undefined);
      for (const client of ['a', 'b', 'c']) on.attach('jump_label', KEY, {}, client);
      assert.deepEqual(on.site(site).owners, ['att_1', 'att_2', 'att_3']);
      assert.equal(on.site(site).mechanism, 'jump-label');
      for (const [index, id] of leaving.entries()) {
        on.detach(id);
        assert.equal(on.hex(site, 1), index === 2 ? '66' : 'eb');
      }
    }
  });

  it('switches off a key that boot left on, and gives it back', async () => {
    const on = await lab();
    const [site] = keySites(on.world, on.at(BOOT_ON));
    assert.ok(site !== undefined);
    const before = on.hex(site, 5);
    const { id } = on.attach('jump_label', BOOT_ON, { enabled: false });
    assert.equal(on.hex(site, 5), '0f1f440000');
    const second = on.attach('jump_label', BOOT_ON, { enabled: true });
    assert.equal(on.hex(site, 5), before);
    assert.deepEqual(on.orphans(), []);
    on.detach(second.id);
    assert.equal(on.hex(site, 5), '0f1f440000');
    on.detach(id);
    assert.equal(on.hex(site, 5), before);
  });

  it('takes a key from its only user in linux, and leaves one with two users on', async () => {
    const single = await lab('linux');
    const [site] = keySites(single.world, single.at(KEY));
    assert.ok(site !== undefined);
    single.attach('jump_label', KEY);
    const taken = single.attach('jump_label', KEY, { enabled: false });
    assert.match(taken.warnings[0] ?? '', /takes .* away/);
    assert.equal(single.hex(site, 1), '66');
    single.detach(taken.id);
    assert.equal(single.hex(site, 1), 'eb');

    const shared = await lab('linux');
    shared.attach('jump_label', KEY);
    shared.attach('jump_label', KEY);
    const left = shared.attach('jump_label', KEY, { enabled: false });
    assert.match(left.warnings[0] ?? '', /leaves it on/);
    assert.equal(shared.hex(site, 1), 'eb');
    for (const id of ['att_1', 'att_3', 'att_2']) shared.detach(id);
    assert.equal(shared.hex(site, 1), '66');
    assert.deepEqual(shared.orphans(), []);
  });

  it('takes a branch, the address of a key, and a structure with one key', async () => {
    const on = await lab();
    const [site] = keySites(on.world, on.at(KEY));
    assert.ok(site !== undefined);
    const byName = on.attach('jump_label', KEY);
    const byBranch = on.attach('jump_label', on.address(site));
    const byAddress = on.attach('jump_label', on.address(on.at(KEY)));
    assert.deepEqual(byBranch.sites, byName.sites);
    assert.deepEqual(byAddress.sites, byName.sites);
    assert.equal(byBranch.verdict, 'chained');
    const inside = on.attach('jump_label', '__tracepoint_sched_switch');
    assert.equal(inside.sites.length, 1);
  });

  it('refuses a vandalised branch and writes none of the others', async () => {
    for (const [strictness, rule, isQuarantined] of [
      ['safe', 'site.unexpected-bytes', true],
      ['linux', 'jump_label.site.bug', false],
    ] as const) {
      const on = await lab(strictness);
      const sites = keySites(on.world, on.at(KEY));
      on.vandalize(sites[2] as number, 'cc');
      const fault = on.refused('jump_label', KEY);
      assert.equal(fault.rule, rule);
      assert.equal(fault.actual, 'cc90');
      assert.deepEqual(opcodes(on, sites), ['66', '66', 'cc', '66', '66']);
      assert.equal(on.state.quarantined.size > 0, isQuarantined);
      assert.equal(on.state.staticKeys.size, 0);
    }
  });
});
