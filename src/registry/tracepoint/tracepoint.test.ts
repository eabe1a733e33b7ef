import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import { tracepointNamed, tracepointSites } from './tracepoint.ts';

const NAME = 'sched_switch';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'linux');

function placesOf(on: RegistryLab): { readonly branch: number; readonly trampoline: number; readonly site: number } {
  const parts = tracepointNamed(on.world, NAME);
  assert.ok(parts !== undefined);
  const [branch, trampoline, site] = tracepointSites(on.world, parts);
  assert.ok(branch !== undefined && trampoline !== undefined && site !== undefined);
  assert.equal(trampoline, on.at(`__SCT__tp_func_${NAME}`));
  return { branch, trampoline, site };
}

describe('tracepoint', () => {
  it('calls a single probe directly, several through the iterator, and none not at all', async () => {
    const on = await lab();
    const { branch, trampoline, site } = placesOf(on);
    const pristine = [branch, trampoline, site].map((at) => on.hex(at, 5));
    const first = on.attach('tracepoint', NAME, {}, 'first');
    assert.equal(on.hex(branch, 1), 'eb');
    for (const at of [trampoline, site]) assert.equal(on.callee(at), first.owned[0]);
    const second = on.attach('tracepoint', NAME, {}, 'second');
    assert.equal(second.verdict, 'chained');
    const third = on.attach('tracepoint', NAME, { probe: 'gcd' }, 'third');
    for (const at of [trampoline, site]) assert.equal(on.callee(at), on.at(`__traceiter_${NAME}`));
    assert.deepEqual(on.site(branch).chain, [first.id, second.id, third.id], 'the oldest runs first');
    assert.deepEqual(on.site(site).chain, [first.id, second.id, third.id]);
    assert.deepEqual(on.orphans(), []);
    on.detach(second.id);
    assert.equal(on.callee(site), on.at(`__traceiter_${NAME}`));
    on.detach(first.id);
    assert.equal(on.callee(site), on.at('gcd'));
    assert.equal(on.hex(branch, 1), 'eb');
    on.detach(third.id);
    assert.deepEqual(
      [branch, trampoline, site].map((at) => on.hex(at, 5)),
      pristine,
    );
    assert.deepEqual([on.state.tracepoints.size, on.state.staticKeys.size, on.state.staticCalls.size], [0, 0, 0]);
  });

  it('sets the call before the key goes on, and switches the key off before the call goes back', async () => {
    const on = await lab();
    const kinds = (ops: readonly { kind: string }[]): readonly string[] => ops.map(({ kind }) => kind);
    const attached = on.decide({ kind: 'tracepoint', target: NAME });
    assert.deepEqual(kinds(attached.ops), ['install', 'poke', 'poke', 'batch']);
    assert.deepEqual(kinds(on.detach('att_1').ops), ['batch', 'poke', 'poke', 'remove']);
  });

  it('shares its key and its call with those that name them', async () => {
    const on = await lab();
    const { branch, trampoline } = placesOf(on);
    const key = on.attach('jump_label', `__tracepoint_${NAME}`);
    const probe = on.attach('tracepoint', NAME);
    const call = on.attach('static_call', `tp_func_${NAME}`, { to: 'gcd' });
    assert.deepEqual(on.site(branch).owners, [key.id, probe.id]);
    assert.deepEqual(on.site(trampoline).owners, [call.id, probe.id]);
    assert.equal(on.callee(trampoline), on.at('gcd'));
    on.detach(probe.id);
    assert.equal(on.hex(branch, 1), 'eb', 'the key is still held');
    on.detach(key.id);
    assert.equal(on.hex(branch, 1), '66');
    on.detach(call.id);
    assert.equal(on.callee(trampoline), on.at(`__traceiter_${NAME}`));
    assert.deepEqual(on.orphans(), []);
  });

  it('is not what other symbols of that form are', async () => {
    const on = await lab();
    for (const name of [`ptr_${NAME}`, `__tracepoint_ptr_${NAME}`, `${NAME}+0x8`, 'no_such'])
      assert.equal(on.refused('tracepoint', name).rule, 'tracepoint.name.unknown', name);
  });
});
