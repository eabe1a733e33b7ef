import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../test/support/images.ts';
import { RegistryLab } from '../../test/support/registry-lab.ts';
import { decideAttach } from './decide.ts';
import { forecast } from './text-op.ts';

const F = 'tcp_set_state';
const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

describe('a decision', () => {
  it('changes nothing that it was given, and is the same each time', async () => {
    const registry = await lab();
    registry.attach('kprobe', F);
    const { world, state, text } = registry;
    const identity = { id: 'att_x', client: 'c', tenant: 't', nowMs: 0 };
    const input = { request: { kind: 'fentry' as const, target: F }, identity, sequence: 9 };
    const site = registry.at(F, 4);
    const before = registry.hex(site, 5);
    const one = decideAttach(world, state, text, input);
    const two = decideAttach(world, state, text, input);
    assert.equal(registry.hex(site, 5), before);
    assert.equal(state.attachments.has('att_x'), false);
    assert.equal(one.state.attachments.has('att_x'), true);
    assert.deepEqual(one.ops, two.ops);
    assert.deepEqual(one.outcome, two.outcome);
  });

  it('names in every op the bytes that are there', async () => {
    const registry = await lab();
    const decision = registry.decide({ kind: 'ftrace', target: { pattern: 'tcp_*' } });
    for (const op of decision.ops) {
      if (op.kind !== 'batch') continue;
      const places = op.changes.map(({ at }) => at);
      assert.deepEqual(
        places,
        places.toSorted((a, b) => a - b),
        'ascending',
      );
      for (const { at, expected } of op.changes) assert.deepEqual(expected, registry.world.pristine.bytes(at, 5));
    }
    assert.equal(decision.ops.filter(({ kind }) => kind === 'batch').length, 1);
  });

  it('never plans a write over text that nobody accounts for', async () => {
    const registry = await lab();
    registry.vandalize(registry.at(F, 6), 'aa');
    const decision = registry.decide({ kind: 'ftrace', target: ['vfs_read', F] });
    assert.equal(decision.outcome.kind, 'refused');
    assert.deepEqual(decision.ops, []);
    assert.deepEqual([...decision.state.quarantined.keys()], [registry.at(F, 4)]);
  });
});

describe('a target', () => {
  const RULE = 'target.invalid';

  it('may be several places or a pattern for ftrace only', async () => {
    const registry = await lab();
    for (const kind of ['kprobe', 'kretprobe', 'ftrace_direct', 'fentry'] as const) {
      assert.equal(registry.refused(kind, [F, 'vfs_read']).rule, RULE, kind);
      assert.equal(registry.refused(kind, { pattern: 'tcp_*' }).rule, RULE, kind);
    }
    assert.equal(registry.attach('ftrace', [F, 'vfs_read', F]).sites.length, 2, 'each once');
  });

  it('is refused with the element that is wrong', async () => {
    const registry = await lab();
    assert.equal(registry.refused('ftrace', []).rule, RULE);
    const fault = registry.refused('ftrace', [F, 'no place', 'vfs_read']);
    assert.deepEqual([fault.rule, fault.index], [RULE, 1]);
    const unknown = registry.refused('ftrace', [F, 'vfs_read', 'no_such']);
    assert.deepEqual([unknown.rule, unknown.index], ['ftrace.filter.no-match', 2]);
  });
});

describe('a forecast', () => {
  it('counts three rounds for up to 256 changes, one for a byte, none for generated code', () => {
    const change = { at: 0, expected: Uint8Array.of(1), bytes: Uint8Array.of(2) };
    const batch = (count: number) => ({
      kind: 'batch' as const,
      what: '',
      changes: Array.from({ length: count }, () => change),
    });
    assert.deepEqual(forecast([batch(256)]), { pokes: 256, batches: 1, syncRounds: 3 });
    assert.deepEqual(forecast([batch(257)]), { pokes: 257, batches: 2, syncRounds: 6 });
    assert.deepEqual(forecast([{ kind: 'byte', what: '', ...change }]), { pokes: 1, batches: 0, syncRounds: 1 });
    assert.deepEqual(forecast([{ kind: 'poke', what: '', ...change }]), { pokes: 1, batches: 1, syncRounds: 3 });
    const code = { kind: 'install' as const, at: 0, bytes: Uint8Array.of(1), what: '' };
    assert.deepEqual(forecast([code]), { pokes: 0, batches: 0, syncRounds: 0 });
  });
});
