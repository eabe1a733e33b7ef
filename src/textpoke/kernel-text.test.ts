import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BASE, BY, entry, hex, textOf, underMutex } from '../../test/textpoke/support.ts';
import { InvariantViolation, kernelAddress, ManualClock, textOffset } from '../base/index.ts';
import { KernelText } from './kernel-text.ts';
import { PokeHistory } from './poke-history.ts';
import { textPoke, textPokeCopy } from './text-poke.ts';
import { textPokeBp } from './text-poke-bp.ts';
import { resetText, restoreText, snapshotText } from './text-snapshot.ts';

const clock = new ManualClock();
const range = (name: string, start: number, length: number, byte: number) => ({
  name,
  start: textOffset(start),
  bytes: new Uint8Array(length).fill(byte),
});

describe('KernelText', () => {
  const text = new KernelText({
    base: BASE,
    clock,
    ranges: [
      range('.init.text', 0x9100, 0x80, 3),
      range('.text', 0x10, 0x1ff0, 1),
      range('.noinstr', 0x2000, 0x123, 2),
    ],
  });

  it('contains its ranges, runs across those that abut, and nothing between', () => {
    assert.equal(text.contains(0x10, 0x1ff0 + 0x123), true);
    assert.equal(text.contains(0x0f, 1), false);
    assert.equal(text.contains(0x2123, 1), false);
    assert.equal(text.contains(0x2122, 2), false);
    assert.equal(text.contains(0x9100, 0x80), true);
    assert.equal(text.contains(0x9100, 0x81), false);
    assert.equal(text.contains(0x9100, -1), false);
    assert.equal(text.u8(0x1fff), 1);
    assert.equal(text.u8(0x2000), 2);
    assert.deepEqual(text.bytes(0x1ffe, 4), hex('01010202'));
    assert.throws(() => text.u8(0x2123), InvariantViolation);
    assert.throws(() => text.bytes(0x2120, 4), InvariantViolation);
    assert.throws(() => text.bytes(0x20, -1), InvariantViolation);
    assert.deepEqual(
      text.ranges.map((r) => r.name),
      ['.text', '.noinstr', '.init.text'],
    );
  });

  it('has the arena, 0xCC to its last byte, which is no core text', () => {
    assert.equal(text.arena.start, 0x3f00_0000);
    assert.equal(text.arena.end, 0x7e00_0000);
    assert.equal(text.u8(text.arena.start), 0xcc);
    assert.deepEqual(text.bytes(text.arena.end - 20, 20), new Uint8Array(20).fill(0xcc));
    assert.equal(text.contains(text.arena.end - 1, 2), false);
    assert.equal(text.isCore(text.arena.start, 1), false);
    assert.equal(text.isCore(0x10, 0x2000), true);
    assert.equal(text.isCore(0x2122, 2), false);
  });

  it('refuses ranges that overlap each other or the arena, and a base the arena is out of reach of', () => {
    const make = (ranges: Parameters<typeof range>[], base = BASE) =>
      new KernelText({ base, clock, ranges: ranges.map((r) => range(...r)) });
    assert.throws(
      () =>
        make([
          ['a', 0, 0x10, 0],
          ['b', 0x0f, 1, 0],
        ]),
      InvariantViolation,
    );
    assert.throws(() => make([['a', 0x3eff_ffff, 2, 0]]), InvariantViolation);
    assert.throws(() => make([['a', 0, 1, 0]], kernelAddress(0xffff_fffe_8000_0000n)), InvariantViolation);
  });

  it('compares without copying, short and long', () => {
    const long = new Uint8Array(64).fill(1);
    assert.equal(text.equals(0x20, long), true);
    assert.equal(text.equals(0x1ff0, long), false);
    assert.equal(text.equals(0x1ffe, hex('ff 01 01 02 ff'), 1, 4), true);
    assert.throws(() => text.equals(0x2120, long), InvariantViolation);
  });

  it('finds every run that differs from pristine, across pages and in the arena', async () => {
    const live = textOf(new Uint8Array(0x4000).fill(0x90));
    await underMutex((held) => {
      const set = (at: number, was: string, bytes: string): void => {
        const { expected, bytes: wanted } = entry(at, was, bytes);
        const poke = { at: textOffset(at), expected, bytes: wanted, by: BY, notExecuting: 'test' };
        assert.ok(textPoke(held, live, poke).ok);
      };
      set(0, '90', '01');
      set(0xffe, '90909090', '02029003');
      set(0x2fff, '9090', '0405');
      set(0x3fff, '90', '06');
      textPokeCopy(held, live, { at: textOffset(live.arena.start + 5), bytes: hex('cc07cc'), by: BY });
      const runs = [
        { at: 0, length: 1 },
        { at: 0xffe, length: 2 },
        { at: 0x1001, length: 1 },
        { at: 0x2fff, length: 2 },
        { at: 0x3fff, length: 1 },
        { at: live.arena.start + 6, length: 1 },
      ];
      assert.deepEqual(live.changedRanges(), runs);
      assert.deepEqual(live.extent(), { coreBytes: 0x4000, arenaBytes: 0x1000, dirtyPages: 5 });
      set(0xffe, '02029003', '90909090');
      assert.deepEqual(live.changedRanges(), [runs[0], ...runs.slice(3)]);
      assert.equal(live.pristine.u8(0), 0x90);
      assert.deepEqual(live.pristine.bytes(0x2ffe, 4), hex('90909090'));
      assert.equal(live.pristine.contains(0x4000, 1), false);
      resetText(held, live);
      assert.deepEqual(live.changedRanges(), []);
      assert.equal(live.u8(0), 0x90);
      assert.equal(live.extent().dirtyPages, 0);
    });
  });

  it('goes back to a snapshot in the middle of a poke, more than once', async () => {
    const live = textOf(hex('0f1f440000'));
    await underMutex((held) => {
      const poke = entry(0, '0f1f440000', 'e811223344');
      const phases = textPokeBp(held, live, poke);
      phases.next();
      phases.next();
      const snapshot = snapshotText(held, live);
      for (let round = 0; round < 2; round++) {
        resetText(held, live);
        assert.equal(live.pokeVector.refs, 0);
        for (const _ of textPokeBp(held, live, poke));
        assert.deepEqual(live.bytes(0, 5), poke.bytes);
        restoreText(held, live, snapshot);
        assert.deepEqual(live.bytes(0, 5), hex('cc1f440000'));
        assert.equal(live.pokeVector.refs, 1);
        assert.equal(live.pokeVector.entries.length, 1);
      }
      for (const _ of phases);
      assert.deepEqual(live.bytes(0, 5), poke.bytes);
      assert.throws(() => restoreText(held, textOf(hex('90')), snapshot), InvariantViolation);
    });
  });

  it('has snapshots that later pokes of the same page do not reach', async () => {
    const live = textOf(hex('55 56 57'));
    await underMutex((held) => {
      assert.ok(textPoke(held, live, entry(0, '55', '01')).ok);
      const snapshot = snapshotText(held, live);
      for (let round = 0; round < 2; round++) {
        assert.ok(textPoke(held, live, entry(1, '56', '02')).ok);
        restoreText(held, live, snapshot);
        assert.deepEqual(live.bytes(0, 3), hex('015657'));
      }
    });
  });

  it('keeps the history it is given', () => {
    const history = new PokeHistory({ clock });
    assert.equal(new KernelText({ base: BASE, clock, ranges: [], history }).history, history);
  });

  it('needs text_mutex to go back', async () => {
    const live = textOf(hex('90'));
    const dead = await underMutex((held) => held);
    assert.throws(() => resetText(dead, live), InvariantViolation);
    assert.throws(() => snapshotText(dead, live), InvariantViolation);
  });
});
