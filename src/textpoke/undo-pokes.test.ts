import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brief, countingMachine, entry, hex, textOf, underMutex } from '../../test/textpoke/support.ts';
import { InvariantViolation, ManualClock, textOffset, toHex } from '../base/index.ts';
import type { PokeEntry } from './poke-entry.ts';
import { PokeHistory } from './poke-history.ts';
import type { PokePhase } from './poke-phase.ts';
import { GIVEN_UP, runPhasesWhile } from './run-phases.ts';
import { textPokeBpBatch } from './text-poke-bp.ts';
import { textPokeBpAll } from './text-poke-queue.ts';
import { PokeTrail, undoVector } from './undo-pokes.ts';

const OLD = '55eb05e9000000000f8400000000';
const ENTRIES: readonly PokeEntry[] = [
  entry(0, '55', 'c3'),
  entry(1, 'eb05', '6690'),
  entry(3, 'e900000000', '0f1f440000'),
  entry(8, '0f8400000000', '0f8511000000'),
];

/** Stops a poke before its phase number `stop` is obeyed; whether there was one. */
async function stopAt(
  entries: readonly PokeEntry[],
  stop: number,
  after: (lab: {
    readonly text: ReturnType<typeof textOf>;
    readonly trail: PokeTrail;
    readonly held: Parameters<typeof undoVector>[0];
  }) => void,
): Promise<boolean> {
  const text = textOf(hex(OLD));
  return underMutex((held) => {
    const trail = new PokeTrail(text);
    const machine = countingMachine();
    let phases = 0;
    trail.begin();
    const result = runPhasesWhile(textPokeBpAll(held, text, entries), machine, (phase) => {
      trail.note(entries, phase);
      return ++phases < stop;
    });
    after({ text, trail, held });
    return result === GIVEN_UP;
  });
}

describe('undoing what has been poked', () => {
  it('puts text, vector and history back from every phase of a batch, and from behind it', async () => {
    let stop = 1;
    for (let isOn = true; isOn; stop++)
      isOn = await stopAt(ENTRIES, stop, ({ text, trail, held }) => {
        const machine = countingMachine();
        trail.undo(held, machine);
        assert.equal(toHex(text.bytes(0, hex(OLD).length)), OLD, `phase ${stop}`);
        assert.deepEqual([text.pokeVector.refs, text.history.state()], [0, textOf(hex(OLD)).history.state()]);
      });
    // publish, 4 int3, sync, 3 tails, sync, 4 firsts, sync, unpublish, done; and once to the end.
    assert.equal(stop - 1, 18);
  });

  it('goes back through an int3, with a sync between any two kinds of store', async () => {
    const text = textOf(hex('0f1f440000'));
    const entries = [entry(0, '0f1f440000', 'e811223344')];
    await underMutex((held) => {
      const machine = countingMachine();
      runPhasesWhile(textPokeBpBatch(held, text, entries), machine, () => true);
      const trace: string[] = [];
      const note = (phase: PokePhase): boolean => {
        trace.push(`${brief(phase)} ${toHex(text.bytes(0, 5))}`);
        return true;
      };
      runPhasesWhile(undoVector(held, text, entries, 1), machine, note);
      assert.deepEqual(trace, [
        'publish:1 e811223344',
        'int3:0 cc11223344',
        'sync:int3 cc11223344',
        'tail:0 cc1f440000',
        'sync:tail cc1f440000',
        'first:0 0f1f440000',
        'sync:first 0f1f440000',
        'unpublish:0 0f1f440000',
      ]);
    });
  });

  it('changes a tail under an int3 alone, and shows no mix, from wherever it starts', async () => {
    let stop = 1;
    for (let isOn = true; isOn; stop++)
      isOn = await stopAt(ENTRIES, stop, ({ text, held }) => {
        const recorded = Math.min(text.history.state().sequence, ENTRIES.length);
        const machine = countingMachine();
        runPhasesWhile(undoVector(held, text, ENTRIES, recorded), machine, (phase) => {
          for (const { at, expected, bytes } of ENTRIES) {
            const now = toHex(text.bytes(at, expected.length));
            const isWhole = now === toHex(expected) || now === toHex(bytes);
            assert.ok(isWhole || now.startsWith('cc'), `phase ${stop}, ${brief(phase)}: ${now} at ${at}`);
          }
          return true;
        });
      });
  });

  it('undoes several pokes and copies, newest first', async () => {
    const text = textOf(hex(OLD));
    await underMutex((held) => {
      const machine = countingMachine();
      const trail = new PokeTrail(text);
      for (const [expected, bytes] of [
        ['55', 'c3'],
        ['c3', 'cc'],
      ] as const) {
        const entries = [entry(0, expected, bytes)];
        trail.begin();
        runPhasesWhile(textPokeBpAll(held, text, entries), machine, (phase) => {
          trail.note(entries, phase);
          return true;
        });
      }
      trail.undo(held, machine);
      assert.equal(toHex(text.bytes(0, 2)), OLD.slice(0, 4));
      assert.equal(text.history.state().records, 0);
    });
  });

  it('stops when the text is not what was poked', async () => {
    const text = textOf(hex('0f1f440000'));
    await underMutex((held) => {
      const entries = [entry(0, '0f1f440001', 'e811223344')];
      assert.throws(() => [...undoVector(held, text, entries, 0)], InvariantViolation);
    });
  });
});

describe('a history that is taken back', () => {
  it('numbers on from there, and forgets sites that have nothing left', () => {
    const { history } = textOf(hex(OLD));
    const by = entry(0, '55', 'c3').by;
    const poke = (at: number, after: string): number => history.append(at, hex('00'), hex(after), by);
    poke(0, '01');
    history.mark();
    poke(5000, '02');
    poke(0, '03');
    history.backToMark();
    history.forgetMark();
    assert.deepEqual(history.state(), { sequence: 1, records: 1, sites: 1, dropped: 0 });
    assert.deepEqual(history.at(textOffset(5000), 1).records, []);
    assert.equal(poke(0, '04'), 2);
    assert.deepEqual(
      history.at(0, 1).records.map(({ sequence, after }) => [sequence, after]),
      [
        [1, '01'],
        [2, '04'],
      ],
    );
  });

  it('has again what had made room, of a busy site and of a site that was forgotten', () => {
    const clock = new ManualClock();
    const by = entry(0, '55', 'c3').by;
    const history = new PokeHistory({ clock, siteMax: 3, totalMax: 6 });
    const poke = (at: number, after: string): number => history.append(at, hex('00'), hex(after), by);
    const seen = () => JSON.stringify([history.state(), history.newest(100), history.at(0, 20_000)]);
    poke(9000, '09');
    for (const after of ['01', '02', '03', '04']) poke(0, after);
    poke(5000, '05');
    for (let pokes = 1; pokes < 40; pokes++) {
      const before = seen();
      history.mark();
      for (let i = 0; i < pokes; i++) poke([0, 5000, 5000, 12_000, 9000][i % 5] ?? 0, 'aa');
      history.backToMark();
      history.forgetMark();
      assert.equal(seen(), before, `${pokes} pokes taken back`);
      poke([0, 9000, 300][pokes % 3] ?? 0, 'bb');
    }
  });
});
