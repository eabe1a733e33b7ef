import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BY, brief, collect, countingMachine, entry, hex, textOf, underMutex } from '../../test/textpoke/support.ts';
import { InvariantViolation, ManualClock, textOffset } from '../base/index.ts';
import { KernelText } from './kernel-text.ts';
import { runPhases } from './run-phases.ts';
import { textPoke, textPokeCopy, textPokeSet, textPokeSync, textPokeThenSync } from './text-poke.ts';

describe('textPoke', () => {
  it('writes one byte and records who, why, before and after', async () => {
    const text = textOf(hex('55 90'), new ManualClock(77));
    await underMutex((held) => {
      assert.deepEqual(textPoke(held, text, entry(0, '55', 'cc')), {
        ok: true,
        value: { pokes: 1, batches: 0, syncRounds: 0 },
      });
    });
    assert.equal(text.u8(0), 0xcc);
    assert.deepEqual(text.history.at(0, 1).records, [
      { sequence: 1, timeMs: 77, at: 0, length: 1, before: '55', after: 'cc', by: BY },
    ]);
  });

  it('returns a mismatch with expected and actual bytes and writes nothing', async () => {
    const text = textOf(hex('55 90'));
    await underMutex((held) => {
      const result = textPoke(held, text, entry(0, '90', 'cc'));
      assert.deepEqual(result, {
        ok: false,
        fault: { kind: 'poke-mismatch', entry: 0, at: 0, expected: hex('90'), actual: hex('55') },
      });
    });
    assert.deepEqual(text.changedRanges(), []);
    assert.equal(text.history.state().sequence, 0);
  });

  it('takes more than a byte only with the reason why nobody executes it', async () => {
    const text = textOf(hex('0f1f440000'));
    const poke = entry(0, '0f1f440000', 'e811223344');
    await underMutex((held) => {
      assert.throws(() => textPoke(held, text, poke), InvariantViolation);
      assert.ok(textPoke(held, text, { ...poke, notExecuting: 'module not live' }).ok);
    });
    assert.deepEqual(text.bytes(0, 5), poke.bytes);
  });

  it('reaches over one page boundary, not over two', async () => {
    const text = textOf(new Uint8Array(0x4000).fill(0x90));
    const long = (length: number) => ({
      at: textOffset(0xfff),
      expected: new Uint8Array(length).fill(0x90),
      bytes: new Uint8Array(length).fill(1),
      by: BY,
      notExecuting: 'test',
    });
    await underMutex((held) => {
      assert.throws(() => textPoke(held, text, long(0x1002)), InvariantViolation);
      assert.ok(textPoke(held, text, long(0x1001)).ok);
    });
    assert.deepEqual(text.changedRanges(), [{ at: 0xfff, length: 0x1001 }]);
  });

  it('throws where there is no text, and for bytes of two lengths', async () => {
    const text = textOf(hex('90'));
    await underMutex((held) => {
      assert.throws(() => textPoke(held, text, entry(1, '90', 'cc')), InvariantViolation);
      assert.throws(() => textPoke(held, text, entry(0, '', 'cc')), InvariantViolation);
      assert.throws(() => textPoke(held, text, { ...entry(0, '', ''), notExecuting: 'test' }), InvariantViolation);
    });
  });

  it('throws when the text is not what was just written', async () => {
    class FaultyText extends KernelText {
      #compared = 0;
      override equals(...args: Parameters<KernelText['equals']>): boolean {
        this.#compared++;
        return this.#compared === 1 && super.equals(...args);
      }
    }
    const sound = textOf(hex('90'));
    const text = new FaultyText({
      base: sound.base,
      clock: new ManualClock(),
      ranges: [{ name: '.text', start: textOffset(0), bytes: hex('90') }],
    });
    await underMutex((held) => {
      assert.throws(() => textPoke(held, text, entry(0, '90', 'cc')), /not what was just written/);
    });
    assert.equal(text.history.state().sequence, 0);
  });

  it('asks for a living token', async () => {
    const text = textOf(hex('90'));
    const dead = await underMutex((held) => held);
    const piece = { at: textOffset(text.arena.start), by: BY };
    assert.throws(() => textPoke(dead, text, entry(0, '90', 'cc')), InvariantViolation);
    assert.throws(() => textPokeThenSync(dead, text, entry(0, '90', 'cc')).next(), InvariantViolation);
    assert.throws(() => textPokeCopy(dead, text, { ...piece, bytes: hex('c3') }), InvariantViolation);
    assert.throws(() => textPokeSet(dead, text, { ...piece, length: 1 }), InvariantViolation);
    assert.deepEqual(text.changedRanges(), []);
  });
});

describe('textPokeThenSync', () => {
  it('writes, then asks for one sync', async () => {
    const text = textOf(hex('55'));
    await underMutex((held) => {
      const { trace, value } = collect(textPokeThenSync(held, text, entry(0, '55', 'cc')), (phase) => {
        assert.equal(text.u8(0), 0xcc);
        return brief(phase);
      });
      assert.deepEqual(trace, ['poke@0', 'sync:poke', 'done:1/0/1']);
      assert.deepEqual(value, { ok: true, value: { pokes: 1, batches: 0, syncRounds: 1 } });
    });
  });

  it('asks for none after a mismatch', async () => {
    const text = textOf(hex('55'));
    const machine = countingMachine();
    await underMutex((held) => {
      assert.equal(runPhases(textPokeThenSync(held, text, entry(0, '56', 'cc')), machine).ok, false);
    });
    assert.equal(machine.syncs, 0);
  });

  it('textPokeSync is one round', () => {
    const machine = countingMachine();
    textPokeSync(machine);
    assert.equal(machine.syncs, 1);
  });
});

describe('textPokeCopy and textPokeSet', () => {
  it('put code into the arena over any number of pages, and 0xCC over it when it is freed', async () => {
    const text = textOf(hex('90'));
    const at = textOffset(text.arena.start + 0xffe);
    const bytes = Uint8Array.from({ length: 0x5003 }, (_, i) => i % 251);
    await underMutex((held) => {
      assert.deepEqual(textPokeCopy(held, text, { at, bytes, by: BY }), { pokes: 1, batches: 0, syncRounds: 0 });
      assert.deepEqual(text.bytes(at, bytes.length), bytes);
      assert.equal(text.u8(at - 1), 0xcc);
      assert.equal(text.u8(at + bytes.length), 0xcc);
      textPokeSet(held, text, { at, length: bytes.length, by: BY });
      assert.deepEqual(text.changedRanges(), []);
      textPokeSet(held, text, { at, length: 3, byte: 0x90, by: BY });
      assert.deepEqual(text.changedRanges(), [{ at, length: 3 }]);
    });
    const { records } = text.history.at(at + 0x5002, 1);
    assert.deepEqual(
      records.map((r) => [r.sequence, r.length, r.before.slice(0, 4), r.after.slice(0, 4)]),
      [
        [1, 0x5003, 'cccc', '0001'],
        [2, 0x5003, '0001', 'cccc'],
      ],
    );
    assert.equal(text.history.at(at, 1).records.length, 3);
  });

  it('refuse core text, what lies partly outside the arena, and nothing', async () => {
    const text = textOf(hex('9090'));
    const { start, end } = text.arena;
    await underMutex((held) => {
      for (const at of [0, start - 1, end - 1, end]) {
        const place = { at: textOffset(at), by: BY };
        assert.throws(() => textPokeCopy(held, text, { ...place, bytes: hex('c3c3') }), InvariantViolation);
        assert.throws(() => textPokeSet(held, text, { ...place, length: 2 }), InvariantViolation);
      }
      const place = { at: textOffset(start), by: BY };
      assert.throws(() => textPokeCopy(held, text, { ...place, bytes: hex('') }), InvariantViolation);
    });
    assert.deepEqual(text.changedRanges(), []);
  });
});
