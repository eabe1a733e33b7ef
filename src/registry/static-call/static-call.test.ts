import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab, withBytes } from '../../../test/support/registry-lab.ts';
import { toHex } from '../../base/index.ts';
import type { KernelImage } from '../../image/index.ts';
import type { Strictness } from '../model/request.ts';
import { makeWorld } from '../world.ts';
import { bootFunction, staticCallNamed } from './calls.ts';
import { callInsn, callPlaces } from './transform.ts';

const lab = async (strictness: Strictness = 'safe'): Promise<RegistryLab> =>
  new RegistryLab(await builtinImage(), strictness);

/** Bytes of the trampoline, then of each site. */
function bytesOf(on: RegistryLab, name: string): readonly string[] {
  const call = staticCallNamed(on.world, name);
  assert.ok(call !== undefined);
  return callPlaces(on.world, call).map(({ at, size }) => on.hex(at, size));
}

describe('static_call', () => {
  it('updates the trampoline first, then each site, one poke each', async () => {
    const on = await lab();
    const before = bytesOf(on, 'might_resched');
    assert.deepEqual(before.slice(1), ['2e2e2e31c0', '2e2e2e31c0']);
    const decision = on.decide({
      kind: 'static_call',
      target: '__SCT__might_resched',
      options: { to: '__cond_resched' },
    });
    assert.equal(decision.outcome.kind, 'granted');
    assert.deepEqual(
      decision.ops.map((op) => op.kind),
      ['poke', 'poke', 'poke'],
    );
    assert.equal((decision.ops[0] as { at: number }).at, on.at('__SCT__might_resched'));
    const call = staticCallNamed(on.world, 'might_resched');
    assert.ok(call !== undefined);
    for (const { at } of callPlaces(on.world, call)) assert.equal(on.callee(at), on.at('__cond_resched'));
    assert.deepEqual(on.orphans(), []);
    const back = on.detach('att_1');
    assert.deepEqual(bytesOf(on, 'might_resched'), before);
    const emulated = back.ops.flatMap((op) => (op.kind === 'poke' && op.emulate !== undefined ? [op] : []));
    assert.equal(emulated.length, 2, 'a return of 0 is played as the call that it stands for');
    for (const { at, emulate } of emulated)
      assert.equal(at + 5 + Buffer.from(emulate ?? []).readInt32LE(1), on.at('__static_call_return0'));
    assert.equal(on.state.staticCalls.size, 0);
  });

  it('has all forms: call, nop, tail jmp, ret, and the constant 0', async () => {
    const on = await lab();
    const form = (name: string, to: string): readonly string[] => {
      const { id } = on.attach('static_call', name, { to });
      const [trampoline, site] = bytesOf(on, name);
      assert.deepEqual(on.orphans(), []);
      on.detach(id);
      return [trampoline?.slice(0, 2) ?? '', site?.slice(0, 2) ?? ''];
    };
    assert.deepEqual(form('preempt_schedule', 'gcd'), ['e9', 'e8']);
    assert.deepEqual(form('preempt_schedule', 'NULL'), ['c3', '0f']);
    assert.deepEqual(form('preempt_schedule', '__static_call_return0'), ['e9', '2e']);
    assert.deepEqual(form('cond_resched', 'gcd'), ['e9', 'e9']);
    assert.deepEqual(form('cond_resched', 'NULL'), ['c3', 'c3']);
    assert.deepEqual(form('cond_resched', '__static_call_return0'), ['e9', 'e9']);
  });

  it('lets the newest win and gives the call back to the one below', async () => {
    const on = await lab();
    const before = bytesOf(on, 'cond_resched');
    const first = on.attach('static_call', 'cond_resched', { to: 'gcd' });
    const second = on.attach('static_call', 'cond_resched', { to: 'NULL' });
    assert.match(second.warnings[0] ?? '', /att_1 updated cond_resched too/);
    const own = on.attach('static_call', 'cond_resched');
    const at = on.at('__SCT__cond_resched');
    assert.equal(own.owned.length, 1);
    assert.equal(on.callee(at), own.owned[0]);
    assert.deepEqual(on.site(at).owners, [own.id, second.id, first.id]);
    assert.equal(on.site(at).mechanism, 'static-call');
    on.detach(second.id);
    assert.equal(on.callee(at), own.owned[0], 'one from the middle changes nothing');
    on.detach(own.id);
    assert.equal(on.callee(at), on.at('gcd'));
    assert.deepEqual(on.orphans(), []);
    on.detach(first.id);
    assert.deepEqual(bytesOf(on, 'cond_resched'), before);
  });

  it('takes the name, the trampoline, the key and a site for the same call', async () => {
    const on = await lab();
    const call = staticCallNamed(on.world, 'might_resched');
    assert.ok(call !== undefined);
    const [, site] = callPlaces(on.world, call);
    assert.ok(site !== undefined);
    const targets = ['might_resched', '__SCT__might_resched', '__SCK__might_resched', on.address(site.at)];
    const sites = targets.map((target) => on.attach('static_call', target, { to: 'gcd' }).sites);
    for (const each of sites) assert.deepEqual(each, sites[0]);
    assert.equal(on.state.staticCalls.size, 1);
    for (const id of ['att_2', 'att_4', 'att_1', 'att_3']) on.detach(id);
    assert.equal(on.state.staticCalls.size, 0);
  });

  it('writes nothing for the function that the call has', async () => {
    const on = await lab();
    const to = on.address(on.callee(on.at('__SCT__cond_resched')));
    const { ops } = on.decide({ kind: 'static_call', target: 'cond_resched', options: { to } });
    assert.deepEqual(ops, []);
  });

  it('refuses a trampoline without its signature', async () => {
    for (const [strictness, rule] of [
      ['safe', 'site.unexpected-bytes'],
      ['linux', 'static_call.site.bug'],
    ] as const) {
      const on = await lab(strictness);
      on.vandalize(on.at('__SCT__cond_resched', 5), 'cccccc');
      assert.equal(on.refused('static_call', 'cond_resched', { to: 'gcd' }).rule, rule);
    }
  });

  it('keeps the condition of a conditional tail jump', async () => {
    const builtin = await builtinImage();
    const call = staticCallNamed(makeWorld(builtin, { strictness: 'safe' }), 'preempt_schedule');
    const at = builtin.staticCalls.site[call?.entries[0] ?? -1];
    assert.ok(call !== undefined && at !== undefined);
    const image: KernelImage = withBytes(builtin, at, '0f8512345600');
    const world = makeWorld(image, { strictness: 'safe' });
    const to = image.symbols.offsetOf('gcd') ?? 0;
    const place = { at, size: 6, isTail: true };
    const { bytes } = callInsn(world, place, to, bootFunction(world, call));
    assert.equal(toHex(bytes.slice(0, 2)), '0f85');
    assert.equal(at + 6 + Buffer.from(bytes).readInt32LE(2), to);
  });
});
