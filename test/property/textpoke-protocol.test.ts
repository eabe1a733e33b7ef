/**
 * The int3 protocol against a model. Goal: no CPU ever fetches a mix, every batch has the sync rounds of its table and no more, and what is
 * stopped or refused leaves what the phase says. Method: random sites of random forms, stepped phase by phase with the text compared
 * after each; `PROPERTY_SEED` replays a failure.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { textOffset, toHex } from '../../src/base/index.ts';
import {
  type KernelText,
  type PokeEntry,
  type PokeMismatch,
  type PokePhase,
  pokeInt3Handler,
  resetText,
  restoreText,
  runPhases,
  snapshotText,
  TextPokeQueue,
  textPokeBpAll,
  textPokeBpBatch,
} from '../../src/textpoke/index.ts';
import { check as checkProperty } from '../textpoke/property.ts';
import { BY, brief, collect, countingMachine, textOf, underMutex } from '../textpoke/support.ts';

const check = <T>(property: fc.IAsyncProperty<T>, numRuns: number): Promise<void> =>
  checkProperty('test/property/textpoke-protocol.test.ts', property, numRuns);

const disp32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const le32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);
const disp8 = fc.integer({ min: 0, max: 255 });
const form = (...parts: readonly (number | fc.Arbitrary<number | number[]>)[]): fc.Arbitrary<number[]> =>
  fc.tuple(...parts.map((part) => (typeof part === 'number' ? fc.constant(part) : part))).map((list) => list.flat());

/** Every form that may stand at a live site, by length. */
const FORMS: Readonly<Record<number, fc.Arbitrary<number[]>>> = {
  1: fc.constantFrom<number[]>([0xcc], [0xc3]),
  2: fc.oneof(
    fc.constantFrom<number[]>([0x66, 0x90], [0xc3, 0xcc]),
    form(0xeb, disp8),
    form(
      disp8.map((n) => 0x70 + (n & 15)),
      disp8,
    ),
  ),
  5: fc.oneof(
    fc.constantFrom<number[]>([0x0f, 0x1f, 0x44, 0, 0], [0xc3, 0xcc, 0xcc, 0xcc, 0xcc]),
    form(0xe8, disp32.map(le32)),
    form(0xe9, disp32.map(le32)),
    form(0xeb, disp8, 0xcc, 0xcc, 0xcc),
  ),
  6: form(
    0x0f,
    disp8.map((n) => 0x80 + (n & 15)),
    disp32.map(le32),
  ),
};

interface Site {
  readonly gap: number;
  readonly old: readonly number[];
  readonly bytes: readonly number[];
}

const site: fc.Arbitrary<Site> = fc.constantFrom(1, 2, 5, 6).chain((length) =>
  fc.record({
    gap: fc.nat(9),
    old: fc.array(fc.nat(255), { minLength: length, maxLength: length }),
    bytes: FORMS[length] ?? fc.constant([]),
  }),
);

/** Sites laid out from `start` on, so that some straddle the page boundary at 0x1000. */
function layOut(sites: readonly Site[], start: number): { readonly text: KernelText; readonly entries: PokeEntry[] } {
  const length = sites.reduce((sum, s) => sum + s.gap + s.old.length, start) + 16;
  const image = new Uint8Array(length).fill(0x90);
  let at = start;
  const entries = sites.map(({ gap, old, bytes }) => {
    at += gap;
    const poke = { at: textOffset(at), expected: Uint8Array.from(old), bytes: Uint8Array.from(bytes), by: BY };
    image.set(old, at);
    at += old.length;
    return poke;
  });
  return { text: textOf(image), entries };
}

const start = fc.integer({ min: 0xfc0, max: 0x1000 });
const sites = fc.array(site, { minLength: 1, maxLength: 24 });

/** The only bytes entry number `index` may have when `phase` has been yielded. */
function bytesAt(phase: PokePhase, index: number, { expected, bytes }: PokeEntry): string {
  const [old, next] = [toHex(expected), toHex(bytes)];
  const [trapOld, trapNew] = [`cc${old.slice(2)}`, `cc${next.slice(2)}`];
  switch (phase.kind) {
    case 'publish':
      return old;
    case 'int3':
      return index <= phase.entry ? trapOld : old;
    case 'tail':
      return index <= phase.entry ? trapNew : trapOld;
    case 'first':
      return index <= phase.entry ? next : trapNew;
    case 'sync':
      if (phase.after === 'int3') return trapOld;
      return phase.after === 'tail' ? trapNew : next;
    default:
      return next;
  }
}

describe('textPokeBpBatch', () => {
  it('after every phase each site is whole old, whole new, or behind an int3 as the table says', async () => {
    await check(
      fc.asyncProperty(sites, start, async (list, from) => {
        const { text, entries } = layOut(list, from);
        const total = list.reduce((sum, s) => sum + s.gap + s.old.length, from + 16);
        const isSite = (offset: number): boolean =>
          entries.some((e) => offset >= e.at && offset < e.at + e.bytes.length);
        const outside = (): string =>
          toHex(text.bytes(0, total).filter((_, offset) => offset >= from && !isSite(offset)));
        const before = outside();
        await underMutex((held) => {
          const { value } = collect(textPokeBpBatch(held, text, entries), (phase) => {
            for (const [i, entry] of entries.entries()) {
              const now = toHex(text.bytes(entry.at, entry.bytes.length));
              assert.equal(now, bytesAt(phase, i, entry), `site ${i} after ${brief(phase)}`);
            }
            assert.equal(outside(), before);
            return phase.kind;
          });
          assert.ok(value.ok);
        });
      }),
      300,
    );
  });

  it('can be left after any phase, and re-run to it with the same text, vector and phases', async () => {
    await check(
      fc.asyncProperty(sites, start, fc.nat(80), async (list, from, steps) => {
        const { text, entries } = layOut(list, from);
        await underMutex((held) => {
          const prefix = (): string => {
            const phases = textPokeBpBatch(held, text, entries);
            const seen: string[] = [];
            for (let i = 0; i <= steps; i++) {
              const step = phases.next();
              if (step.done === true) break;
              seen.push(brief(step.value));
            }
            return JSON.stringify([
              seen,
              text.pokeVector,
              text.changedRanges().map((r) => toHex(text.bytes(r.at, r.length))),
            ]);
          };
          const first = prefix();
          const snapshot = snapshotText(held, text);
          resetText(held, text);
          assert.deepEqual(text.changedRanges(), []);
          assert.equal(prefix(), first);
          const whole = text.bytes(from, 16);
          resetText(held, text);
          restoreText(held, text, snapshot);
          assert.deepEqual(text.bytes(from, 16), whole);
        });
      }),
      150,
    );
  });

  it('asks for the syncs of its table: int3 always, tail and first only when something was written', async () => {
    await check(
      fc.asyncProperty(sites, start, async (list, from) => {
        const { text, entries } = layOut(list, from);
        await underMutex((held) => {
          const machine = countingMachine();
          const result = runPhases(textPokeBpBatch(held, text, entries), machine);
          const hasTail = entries.some((e) => e.bytes.length > 1);
          const hasFirst = entries.some((e) => e.bytes[0] !== 0xcc);
          const syncRounds = 1 + Number(hasTail) + Number(hasFirst);
          assert.equal(machine.syncs, syncRounds);
          assert.deepEqual(result, { ok: true, value: { pokes: entries.length, batches: 1, syncRounds } });
          assert.equal(text.history.state().sequence, entries.length);
        });
      }),
      200,
    );
  });

  it('has a vector published that plays the new instruction whenever a site traps', async () => {
    await check(
      fc.asyncProperty(sites, start, async (list, from) => {
        const { text, entries } = layOut(list, from);
        await underMutex((held) => {
          collect(textPokeBpBatch(held, text, entries), (phase) => {
            for (const { at, bytes, expected } of entries) {
              if (text.u8(at) !== 0xcc || expected[0] === 0xcc || bytes[0] === 0xcc) continue;
              const answer = pokeInt3Handler(text.pokeVector, at + 1);
              assert.ok(!['not-ours', 'not-consumed'].includes(answer.kind), `${phase.kind}: ${answer.kind}`);
              const opcode = bytes[0] ?? 0;
              const kind = opcode === 0xc3 ? 'ret' : opcode === 0xe8 ? 'call' : undefined;
              if (kind !== undefined) assert.equal(answer.kind, kind);
              if (answer.kind === 'call') {
                const disp = Buffer.from(bytes).readInt32LE(1);
                assert.deepEqual([answer.target, answer.returnTo], [at + 5 + disp, at + 5]);
              }
            }
            return phase.kind;
          });
          assert.equal(text.pokeVector.refs, 0);
        });
      }),
      150,
    );
  });

  it('writes nothing anywhere when one entry of many does not find what it expects', async () => {
    await check(
      fc.asyncProperty(
        sites,
        start,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (list, from, k, byte, bit) => {
          const { text, entries } = layOut(list, from);
          const index = k % entries.length;
          const victim = entries[index];
          assert.ok(victim);
          const expected = victim.expected.slice();
          const actual = victim.expected;
          const place = byte % expected.length;
          expected[place] = (expected[place] ?? 0) ^ bit;
          entries[index] = { ...victim, expected };
          await underMutex((held) => {
            for (const phases of [textPokeBpBatch(held, text, entries), textPokeBpAll(held, text, entries)]) {
              const machine = countingMachine();
              const result = runPhases(phases, machine);
              const fault: PokeMismatch = { kind: 'poke-mismatch', entry: index, at: victim.at, expected, actual };
              assert.deepEqual(result, { ok: false, fault });
              assert.equal(machine.syncs, 0);
            }
          });
          assert.deepEqual(text.changedRanges(), []);
          assert.equal(text.history.state().sequence, 0);
        },
      ),
      150,
    );
  });
});

describe('TextPokeQueue', () => {
  it('equals a list of writes for any order of sites, flushing exactly by its rule', async () => {
    const order = fc.array(fc.nat(699), { minLength: 1, maxLength: 700 });
    const ascending = order.map((list) => [...list].sort((a, b) => a - b));
    await check(
      fc.asyncProperty(fc.oneof(order, ascending), async (wanted) => {
        const unit = 7;
        const image = new Uint8Array(700 * unit).fill(0xb0);
        const text = textOf(image.slice());
        const machine = countingMachine();
        await underMutex((held) => {
          const queue = new TextPokeQueue(text);
          let batches = 0;
          let vector: number[] = [];
          for (const [n, index] of wanted.entries()) {
            const at = textOffset(index * unit + 1);
            const last = vector.at(-1);
            if (last !== undefined && (vector.length === 256 || last >= index)) {
              batches++;
              vector = [];
            }
            vector.push(index);
            const bytes = Uint8Array.of(0xe8, n & 0xff, n >> 8, 0, 0);
            const entry = { at, expected: image.slice(at, at + 5), bytes, by: BY };
            assert.ok(runPhases(queue.queue(held, entry), machine).ok);
            image.set(bytes, at);
            assert.equal(queue.length, vector.length);
            assert.equal(machine.syncs, 3 * batches);
          }
          assert.ok(runPhases(queue.finish(held), machine).ok);
          assert.equal(machine.syncs, 3 * (batches + 1));
        });
        assert.equal(toHex(text.bytes(0, image.length)), toHex(image));
        assert.equal(text.history.state().sequence, wanted.length);
      }),
      40,
    );
  });
});
