import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brief, collect, countingMachine, entry, hex, textOf, underMutex } from '../../test/textpoke/support.ts';
import { InvariantViolation } from '../base/index.ts';
import type { PokeEntry } from './poke-entry.ts';
import { runPhases } from './run-phases.ts';
import { TextPokeQueue, textPokeBpAll } from './text-poke-queue.ts';

const nops = (count: number) => textOf(new Uint8Array(5 * count).map((_, i) => [0x0f, 0x1f, 0x44, 0, 0][i % 5] ?? 0));
const call = (site: number): PokeEntry => entry(5 * site, '0f1f440000', 'e811223344');

describe('TextPokeQueue', () => {
  it('flushes when the 257th entry comes, and what is left at the end', async () => {
    const text = nops(300);
    const queue = new TextPokeQueue(text);
    const machine = countingMachine();
    await underMutex((held) => {
      for (let site = 0; site < 256; site++) assert.ok(runPhases(queue.queue(held, call(site)), machine).ok);
      assert.equal(machine.syncs, 0);
      assert.equal(queue.length, 256);
      assert.deepEqual(runPhases(queue.queue(held, call(256)), machine), {
        ok: true,
        value: { pokes: 256, batches: 1, syncRounds: 3 },
      });
      assert.equal(queue.length, 1);
      assert.equal(machine.syncs, 3);
      assert.equal(text.u8(5 * 256), 0x0f);
      assert.ok(runPhases(queue.finish(held), machine).ok);
      assert.equal(text.u8(5 * 256), 0xe8);
      assert.equal(machine.syncs, 6);
      assert.ok(runPhases(queue.finish(held), machine).ok);
      assert.equal(machine.syncs, 6);
    });
  });

  it('flushes before an address that is lower than the last, or the same', async () => {
    const text = nops(8);
    const queue = new TextPokeQueue(text);
    await underMutex((held) => {
      const batches: string[] = [];
      const add = (poke: PokeEntry): void => {
        const { trace, value } = collect(queue.queue(held, poke), brief);
        assert.ok(value.ok);
        batches.push(trace.at(0) ?? '-');
      };
      for (const site of [1, 3, 2, 4, 0]) add(call(site));
      add(entry(0, 'e811223344', '0f1f440000'));
      assert.deepEqual(batches, ['-', '-', 'publish:2', '-', 'publish:2', 'publish:1']);
      assert.deepEqual(collect(queue.finish(held), brief).trace.at(-1), 'done:1/1/3');
      assert.equal(text.u8(0), 0x0f);
    });
  });

  it('outlives a hold of text_mutex, as tp_vec does', async () => {
    const text = nops(2);
    const queue = new TextPokeQueue(text);
    await underMutex((held) => assert.ok(runPhases(queue.queue(held, call(0)), countingMachine()).ok));
    assert.equal(text.u8(0), 0x0f);
    await underMutex((held) => assert.ok(runPhases(queue.finish(held), countingMachine()).ok));
    assert.equal(text.u8(0), 0xe8);
  });

  it('empties after a mismatch and does not take the entry that made it flush', async () => {
    const text = nops(4);
    const queue = new TextPokeQueue(text);
    const machine = countingMachine();
    await underMutex((held) => {
      assert.ok(runPhases(queue.queue(held, call(2)), machine).ok);
      assert.ok(runPhases(queue.queue(held, entry(15, 'e911223344', 'e811223344')), machine).ok);
      const flushed = runPhases(queue.queue(held, call(0)), machine);
      assert.equal(flushed.ok ? undefined : flushed.fault.at, 15);
      assert.equal(queue.length, 0);
    });
    assert.equal(machine.syncs, 0);
    assert.deepEqual(text.changedRanges(), []);
  });

  it('checks an entry when it is queued', async () => {
    const queue = new TextPokeQueue(nops(1));
    const dead = await underMutex((held) => {
      assert.throws(() => queue.queue(held, entry(0, '0f', '90')).next(), InvariantViolation);
      return held;
    });
    assert.throws(() => queue.queue(dead, call(0)).next(), InvariantViolation);
    assert.throws(() => queue.finish(dead).next(), InvariantViolation);
    assert.equal(queue.length, 0);
  });
});

describe('textPokeBpAll', () => {
  it('has three sync rounds a batch, however many entries', async () => {
    const text = nops(600);
    const machine = countingMachine();
    await underMutex((held) => {
      const entries = Array.from({ length: 600 }, (_, site) => call(site));
      assert.deepEqual(runPhases(textPokeBpAll(held, text, entries), machine), {
        ok: true,
        value: { pokes: 600, batches: 3, syncRounds: 9 },
      });
    });
    assert.equal(machine.syncs, 9);
    assert.equal(text.history.state().sequence, 600);
  });

  it('compares all batches before the first', async () => {
    const text = nops(600);
    const machine = countingMachine();
    await underMutex((held) => {
      const entries = Array.from({ length: 600 }, (_, site) => call(site));
      entries[599] = entry(5 * 599, 'e911223344', 'e811223344');
      const result = runPhases(textPokeBpAll(held, text, entries), machine);
      assert.equal(result.ok ? undefined : result.fault.entry, 599);
    });
    assert.equal(machine.syncs, 0);
    assert.deepEqual(text.changedRanges(), []);
  });

  it('throws for two pokes of one byte, however far apart, before it writes', async () => {
    const text = nops(600);
    await underMutex((held) => {
      const entries = [call(3), ...Array.from({ length: 500 }, (_, site) => call(site + 4)), call(3)];
      assert.throws(() => runPhases(textPokeBpAll(held, text, entries), countingMachine()), InvariantViolation);
    });
    assert.deepEqual(text.changedRanges(), []);
    assert.deepEqual(text.bytes(15, 5), hex('0f1f440000'));
  });
});
