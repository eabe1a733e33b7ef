/**
 * Goal: nobody outside src/textpoke can write text without the functions that ask for text_mutex. Method: collect every array that can be reached
 * from what the room exports and from what its objects return, scribble over all of them, and see that no byte of text moved.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock, textOffset, toHex } from '../../src/base/index.ts';
import type { TextMutexHeld } from '../../src/textpoke/index.ts';
import * as room from '../../src/textpoke/index.ts';
import { BASE, BY, countingMachine, entry, hex, underMutex } from './support.ts';

const PRISTINE = new Uint8Array(0x3000).map((_, i) => (i * 7) % 256);
const SITE = 0x1100;

function makeText(): { readonly text: room.KernelText; readonly input: Uint8Array } {
  const input = PRISTINE.slice();
  input.set(hex('0f1f440000'), SITE);
  const ranges = [
    { name: '.text', start: textOffset(0), bytes: input.subarray(0, 0x1800) },
    { name: '.more', start: textOffset(0x1800), bytes: input.subarray(0x1800) },
  ];
  return { text: new room.KernelText({ base: BASE, clock: new ManualClock(), ranges }), input };
}

const WRITERS = [
  'PokeTrail',
  'TextPokeQueue',
  'loadText',
  'resetText',
  'restoreText',
  'snapshotText',
  'textPoke',
  'textPokeBp',
  'textPokeBpAll',
  'textPokeBpBatch',
  'textPokeCopy',
  'textPokeSet',
  'textPokeThenSync',
  'undoVector',
] as const;

/** They put back what was there: over a text that nobody has poked they have nothing to write. */
const RESTORERS: readonly string[] = ['PokeTrail', 'resetText', 'restoreText', 'snapshotText', 'undoVector'];

const READERS = [
  'KernelText',
  'PokeHistory',
  'TextMutex',
  'addSummaries',
  'assertHeld',
  'compareExpected',
  'jccTaken',
  'pokeInt3Handler',
  'putPokeVector',
  'runPhases',
  'runPhasesWhile',
  'textPokeSync',
  'tryGetPokeVector',
];

/** Every object reachable through own and inherited properties, getters read; functions are entered, not called. */
function reachable(root: unknown, seen = new Set<object>()): Set<object> {
  if ((typeof root !== 'object' && typeof root !== 'function') || root === null || seen.has(root)) return seen;
  if (root === Object.prototype || root === Function.prototype || root === globalThis) return seen;
  seen.add(root);
  if (ArrayBuffer.isView(root)) return reachable(root.buffer, seen);
  if (root instanceof Map) for (const pair of root) for (const half of pair) reachable(half, seen);
  if (root instanceof Set) for (const value of root) reachable(value, seen);
  for (let holder: object | null = root; holder !== null; holder = Object.getPrototypeOf(holder)) {
    if (holder === Object.prototype || holder === Function.prototype) break;
    for (const key of Reflect.ownKeys(holder)) {
      try {
        reachable(Reflect.get(holder, key, root), seen);
      } catch {
        // A getter that wants another receiver gives nothing away.
      }
    }
  }
  return seen;
}

/** Overwrites every buffer among them; how many there were. */
function scribble(objects: Iterable<object>): number {
  let buffers = 0;
  for (const object of objects) {
    if (!(object instanceof ArrayBuffer)) continue;
    new Uint8Array(object).fill(0xee);
    buffers++;
  }
  return buffers;
}

/** All that a holder of the public interface can be handed while a text lives. */
function handedOut(text: room.KernelText): readonly unknown[] {
  const whole = [0, 1, 16, 17, 0x1000, 0x3000].map((length) => [text.bytes(0, length), text.pristine.bytes(0, length)]);
  const { start } = text.arena;
  return [
    text,
    text.pristine,
    text.pokeVector,
    text.changedRanges(),
    text.history.at(0, 0x3000),
    text.bytes(SITE, 5),
    text.bytes(start, 0x2000),
    text.pristine.bytes(start, 0x2000),
    whole,
  ];
}

describe('a text', () => {
  it('would be caught handing out a view: the search goes through getters, prototypes, maps and nested objects', () => {
    const leak = new Uint8Array(4);
    class Hidden {
      get deep(): unknown {
        return [new Map([['key', { view: leak.subarray(1, 2) }]])];
      }
    }
    assert.equal(scribble(reachable(new (class extends Hidden {})())), 1);
    assert.deepEqual(leak, hex('eeeeeeee'));
  });

  it('is not what its constructor was given', () => {
    const { text, input } = makeText();
    const before = text.bytes(0, 0x3000);
    input.fill(0xee);
    assert.deepEqual(text.bytes(0, 0x3000), before);
    assert.deepEqual(text.pristine.bytes(0, 0x3000), before);
  });

  it('hands out copies only: clean, in the middle of a poke, and after', async () => {
    const { text } = makeText();
    const { start } = text.arena;
    // Strings, because the search would find and overwrite arrays.
    const dump = (): string => toHex(text.bytes(0, 0x3000)) + toHex(text.bytes(start, 0x2000));
    const pristine = toHex(text.pristine.bytes(0, 0x3000));
    await underMutex((held) => {
      const attack = (stage: string, extra: readonly unknown[]): void => {
        const before = dump();
        const buffers = scribble(reachable([...handedOut(text), ...extra, held]));
        assert.ok(buffers >= 15, `the search found only ${buffers} arrays`);
        assert.equal(dump(), before, stage);
        assert.equal(toHex(text.pristine.bytes(0, 0x3000)), pristine, stage);
      };
      attack('clean', []);
      const copied = { at: textOffset(start), bytes: hex('f30f1efac3'), by: BY };
      attack('arena', [room.textPokeCopy(held, text, copied), copied]);
      const poke = entry(SITE, '0f1f440000', 'e811223344');
      const phases = room.textPokeBp(held, text, poke);
      let stages = 0;
      for (const phase of phases) {
        const vector = room.tryGetPokeVector(text);
        if (vector !== undefined) room.putPokeVector(text);
        attack(phase.kind, [phase, phases, poke, vector, room.snapshotText(held, text)]);
        stages++;
      }
      assert.equal(stages, 9);
      assert.equal(toHex(text.bytes(SITE, 5)), 'e811223344');
      const refused = room.textPoke(held, text, entry(SITE, '00', 'cc'));
      attack('mismatch', [refused, room.compareExpected(text, [poke])]);
    });
  });

  it('is written by exactly these functions, each of which asks for the token', async () => {
    const functions = Object.entries(room).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));
    assert.deepEqual(functions.sort(), [...WRITERS, ...READERS].sort());
    const { text } = makeText();
    const dead = await underMutex((held) => held);
    const poke = entry(SITE, '0f1f440000', 'e811223344');
    const piece = { at: textOffset(text.arena.start), bytes: hex('c3'), length: 1, by: BY };
    const machine = countingMachine();
    const attempts: Record<(typeof WRITERS)[number], (held: TextMutexHeld) => unknown> = {
      textPoke: (held) => room.textPoke(held, text, { ...poke, notExecuting: 'test' }),
      textPokeThenSync: (held) => room.runPhases(room.textPokeThenSync(held, text, entry(SITE, '0f', 'cc')), machine),
      textPokeCopy: (held) => room.textPokeCopy(held, text, piece),
      textPokeSet: (held) => room.textPokeSet(held, text, { ...piece, byte: 0x90 }),
      textPokeBp: (held) => room.runPhases(room.textPokeBp(held, text, poke), machine),
      textPokeBpBatch: (held) => room.runPhases(room.textPokeBpBatch(held, text, [poke]), machine),
      textPokeBpAll: (held) => room.runPhases(room.textPokeBpAll(held, text, [poke]), machine),
      TextPokeQueue: (held) => {
        const queue = new room.TextPokeQueue(text);
        room.runPhases(queue.queue(held, poke), machine);
        return room.runPhases(queue.finish(held), machine);
      },
      loadText: (held) => room.loadText(held, text, [{ at: SITE, bytes: hex('cc') }]),
      resetText: (held) => room.resetText(held, text),
      restoreText: (held) => room.restoreText(held, text, { kind: 'text-snapshot' }),
      snapshotText: (held) => room.snapshotText(held, text),
      PokeTrail: (held) => new room.PokeTrail(text).undo(held, machine),
      undoVector: (held) => room.runPhases(room.undoVector(held, text, [poke], 0), machine),
    };
    for (const name of WRITERS) assert.throws(() => attempts[name](dead), /text_mutex is not held/, name);
    assert.deepEqual(text.changedRanges(), []);
    // The other way round: with the token in hand the same calls do write, so the refusals above are the token's.
    await underMutex((held) => {
      for (const name of WRITERS.filter((writer) => !RESTORERS.includes(writer))) {
        attempts[name](held);
        assert.ok(text.changedRanges().length > 0, name);
        room.resetText(held, text);
      }
    });
  });
});
