import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brief, collect, countingMachine, entry, hex, textOf, underMutex } from '../../test/textpoke/support.ts';
import { InvariantViolation, toHex } from '../base/index.ts';
import { putPokeVector, tryGetPokeVector } from './bp-desc.ts';
import type { PokeEntry } from './poke-entry.ts';
import { runPhases } from './run-phases.ts';
import { TP_VEC_MAX, textPokeBp, textPokeBpBatch } from './text-poke-bp.ts';

/** Each phase with the text as it stands then. */
async function trace(pristine: string, entries: readonly PokeEntry[]): Promise<readonly string[]> {
  const text = textOf(hex(pristine));
  return underMutex((held) => {
    const length = hex(pristine).length;
    const run = collect(textPokeBpBatch(held, text, entries), (p) => `${brief(p)} ${toHex(text.bytes(0, length))}`);
    assert.ok(run.value.ok);
    return run.trace;
  });
}

describe('textPokeBpBatch', () => {
  it('replaces five bytes behind an int3, with three syncs', async () => {
    assert.deepEqual(await trace('0f1f440000', [entry(0, '0f1f440000', 'e811223344')]), [
      'publish:1 0f1f440000',
      'int3:0 cc1f440000',
      'sync:int3 cc1f440000',
      'tail:0 cc11223344',
      'sync:tail cc11223344',
      'first:0 e811223344',
      'sync:first e811223344',
      'unpublish:0 e811223344',
      'done:1/1/3 e811223344',
    ]);
  });

  it('takes 1, 2, 5 and 6 bytes in one batch, and still three syncs', async () => {
    const entries = [
      entry(0, '55', 'c3'),
      entry(1, 'eb05', '6690'),
      entry(3, 'e900000000', '0f1f440000'),
      entry(8, '0f8400000000', '0f8511000000'),
    ];
    const [old, trap] = ['55eb05e9000000000f8400000000', 'cccc05cc00000000cc8400000000'];
    const tails = ['cccc90cc00000000cc8400000000', 'cccc90cc1f440000cc8400000000', 'cccc90cc1f440000cc8511000000'];
    const phases = await trace(old, entries);
    assert.equal(phases[0], `publish:4 ${old}`);
    assert.equal(phases[5], `sync:int3 ${trap}`);
    assert.deepEqual(phases.slice(6, 10), [
      `tail:1 ${tails[0]}`,
      `tail:2 ${tails[1]}`,
      `tail:3 ${tails[2]}`,
      `sync:tail ${tails[2]}`,
    ]);
    assert.equal(phases.at(-1), 'done:4/1/3 c366900f1f4400000f8511000000');
  });

  it('needs no middle sync for single bytes, and no last one where an int3 stays', async () => {
    assert.deepEqual(await trace('55', [entry(0, '55', 'c3')]), [
      'publish:1 55',
      'int3:0 cc',
      'sync:int3 cc',
      'first:0 c3',
      'sync:first c3',
      'unpublish:0 c3',
      'done:1/1/2 c3',
    ]);
    assert.deepEqual(await trace('55', [entry(0, '55', 'cc')]), [
      'publish:1 55',
      'int3:0 cc',
      'sync:int3 cc',
      'unpublish:0 cc',
      'done:1/1/1 cc',
    ]);
  });

  it('writes over a page boundary', async () => {
    const bytes = new Uint8Array(0x1004).fill(0x90);
    const text = textOf(bytes);
    const machine = countingMachine();
    await underMutex((held) => {
      assert.ok(runPhases(textPokeBp(held, text, entry(0xffe, '9090909090', 'e811223344')), machine).ok);
    });
    assert.deepEqual(text.bytes(0xffe, 5), hex('e811223344'));
    assert.equal(machine.syncs, 3);
  });

  it('publishes what int3 handlers play, before the first int3 and until the last sync', async () => {
    const text = textOf(hex('0f1f440000 0f1f440000'));
    await underMutex((held) => {
      const site = entry(5, '0f1f440000', '2e2e2e31c0', 'e801000000');
      const phases = textPokeBpBatch(held, text, [entry(0, '0f1f440000', 'e9feffffff'), site]);
      assert.equal(text.pokeVector.refs, 0);
      phases.next();
      assert.deepEqual(text.pokeVector, {
        refs: 1,
        entries: [
          { at: 0, len: 5, opcode: 0xe9, disp: -2 },
          { at: 5, len: 5, opcode: 0xe8, disp: 1 },
        ],
      });
      assert.ok(Object.isFrozen(text.pokeVector.entries) && Object.isFrozen(text.pokeVector.entries[0]));
      const seen: number[] = [];
      const { trace: rest } = collect(phases, (phase) => {
        seen.push(text.pokeVector.refs);
        return brief(phase);
      });
      assert.deepEqual(
        seen,
        rest.map((phase) => (phase.startsWith('unpublish') || phase.startsWith('done') ? 0 : 1)),
      );
      assert.deepEqual(text.bytes(5, 5), hex('2e2e2e31c0'));
    });
  });

  it('waits for handlers that still read the vector', async () => {
    const text = textOf(hex('55'));
    await underMutex((held) => {
      const phases = textPokeBp(held, text, entry(0, '55', 'c3'));
      phases.next();
      assert.equal(tryGetPokeVector(text)?.refs, 2);
      assert.equal(tryGetPokeVector(text)?.refs, 3);
      const seen: string[] = [];
      for (const phase of phases) {
        seen.push(brief(phase));
        const waited = seen.filter((word) => word.startsWith('unpublish')).length;
        if (waited > 1 && phase.kind === 'unpublish') putPokeVector(text);
      }
      assert.deepEqual(seen.slice(-5), ['sync:first', 'unpublish:2', 'unpublish:2', 'unpublish:1', 'done:1/1/2']);
      assert.equal(tryGetPokeVector(text), undefined);
      assert.throws(() => putPokeVector(text), InvariantViolation);
    });
  });

  it('compares every entry first: a mismatch anywhere writes nothing anywhere', async () => {
    const text = textOf(hex('55 0f1f440000 0f1f440000'));
    const entries = [entry(0, '55', 'c3'), entry(1, '0f1f440000', 'e811223344'), entry(6, 'e800000000', 'e811223344')];
    await underMutex((held) => {
      const { trace: phases, value } = collect(textPokeBpBatch(held, text, entries));
      assert.deepEqual(phases, []);
      assert.deepEqual(value, {
        ok: false,
        fault: { kind: 'poke-mismatch', entry: 2, at: 6, expected: hex('e800000000'), actual: hex('0f1f440000') },
      });
    });
    assert.deepEqual(text.changedRanges(), []);
    assert.equal(text.history.state().sequence, 0);
    assert.equal(text.pokeVector.refs, 0);
  });

  it('records each entry once, whole before and whole after', async () => {
    const text = textOf(hex('55 0f1f440000 0f8400000000'));
    const entries = [
      entry(0, '55', 'c3'),
      entry(1, '0f1f440000', 'e811223344'),
      entry(6, '0f8400000000', '0f8501000000'),
    ];
    await underMutex((held) => {
      assert.ok(runPhases(textPokeBpBatch(held, text, entries), countingMachine()).ok);
    });
    assert.deepEqual(
      text.history.at(0, 12).records.map((r) => [r.sequence, r.at, r.before, r.after]),
      [
        [1, 0, '55', 'c3'],
        [2, 1, '0f1f440000', 'e811223344'],
        [3, 6, '0f8400000000', '0f8501000000'],
      ],
    );
  });

  it('throws for what may not stand at a live site, before it writes', async () => {
    const text = textOf(new Uint8Array(16).fill(0x90));
    const bad: readonly PokeEntry[] = [
      entry(0, '90', '90'),
      entry(0, '909090', '0f1f00'),
      entry(0, '9090', '8bff'),
      entry(0, '9090909090', 'c300000000'),
      entry(0, '9090909090', '2e2e2e31c0'),
      entry(0, '90909090909090', '0f1f8000000000'),
      entry(0, '90909090', 'e8112233'),
    ];
    await underMutex((held) => {
      for (const poke of bad) {
        assert.throws(() => runPhases(textPokeBp(held, text, poke), countingMachine()), InvariantViolation);
      }
    });
    assert.deepEqual(text.changedRanges(), []);
  });

  it('throws for entries that descend, overlap or are too many', async () => {
    const text = textOf(new Uint8Array(0x2000).fill(0x90));
    const at = (offset: number): PokeEntry => entry(offset, '9090', '6690');
    const many = Array.from({ length: TP_VEC_MAX + 1 }, (_, i) => at(2 * i));
    await underMutex((held) => {
      for (const entries of [[at(2), at(0)], [at(0), at(0)], [at(0), at(1)], many]) {
        assert.throws(() => textPokeBpBatch(held, text, entries).next(), InvariantViolation);
      }
      assert.ok(runPhases(textPokeBpBatch(held, text, many.slice(1)), countingMachine()).ok);
    });
  });

  it('is not bothered by callers who change their arrays', async () => {
    const text = textOf(hex('0f1f440000'));
    await underMutex((held) => {
      const poke = entry(0, '0f1f440000', 'e811223344');
      const phases = textPokeBp(held, text, poke);
      for (const phase of phases) {
        assert.ok(phase.kind.length > 0);
        poke.bytes.fill(0xee);
        poke.expected.fill(0xee);
      }
    });
    assert.deepEqual(text.bytes(0, 5), hex('e811223344'));
    assert.equal(text.history.at(0, 1).records[0]?.before, '0f1f440000');
  });

  it('stops, half done, when the token dies, and lets no other poke begin', async () => {
    const text = textOf(hex('0f1f440000 55'));
    const phases = await underMutex((held) => {
      const running = textPokeBp(held, text, entry(0, '0f1f440000', 'e811223344'));
      running.next();
      running.next();
      return running;
    });
    assert.throws(() => [...phases], InvariantViolation);
    assert.deepEqual(text.bytes(0, 5), hex('cc1f440000'));
    await underMutex((held) => {
      assert.throws(() => textPokeBp(held, text, entry(5, '55', 'c3')).next(), /still published/);
    });
  });

  it('does nothing for no entries', async () => {
    const text = textOf(hex('55'));
    await underMutex((held) => {
      const { trace: phases, value } = collect(textPokeBpBatch(held, text, []));
      assert.deepEqual([phases, value], [[], { ok: true, value: { pokes: 0, batches: 0, syncRounds: 0 } }]);
    });
  });
});

describe('runPhases', () => {
  it('gives handlers time while they read the vector, and throws when it cannot', async () => {
    for (const canRelax of [true, false]) {
      const text = textOf(hex('55'));
      await underMutex((held) => {
        const phases = textPokeBp(held, text, entry(0, '55', 'c3'));
        phases.next();
        tryGetPokeVector(text);
        const machine = countingMachine();
        const run = () =>
          runPhases(phases, canRelax ? { ...machine, cpuRelax: () => void putPokeVector(text) } : machine);
        if (canRelax) assert.ok(run().ok);
        else assert.throws(run, InvariantViolation);
      });
    }
  });
});
