/** PokeHistory against a plain list: what it keeps, finds and counts, for any order of sites, lengths and small bounds. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/base/index.ts';
import { PokeHistory } from '../../src/textpoke/index.ts';
import { check } from '../textpoke/property.ts';
import { BY } from '../textpoke/support.ts';

const OFFSETS = [0, 1, 5, 0xffe, 0x1000, 0x5000] as const;
const poke = fc.record({ at: fc.constantFrom(...OFFSETS), length: fc.constantFrom(1, 2, 5, 6, 0x1001) });

describe('PokeHistory', () => {
  it('keeps, finds and counts what a list would', async () => {
    const bounds = fc.record({ siteMax: fc.integer({ min: 1, max: 5 }), totalMax: fc.integer({ min: 1, max: 9 }) });
    await check(
      'test/property/textpoke-history.test.ts',
      fc.asyncProperty(fc.array(poke, { maxLength: 200 }), bounds, async (pokes, { siteMax, totalMax }) => {
        const history = new PokeHistory({ clock: new ManualClock(), siteMax, totalMax });
        const kept: { readonly at: number; readonly length: number; readonly sequence: number }[] = [];
        for (const [i, { at, length }] of pokes.entries()) {
          history.append(at, new Uint8Array(length), new Uint8Array(length), BY);
          kept.push({ at, length, sequence: i + 1 });
          const ofSite = kept.filter((r) => r.at === at);
          if (ofSite.length > siteMax)
            kept.splice(
              kept.findIndex((r) => r.at === at),
              1,
            );
          if (kept.length > totalMax) kept.shift();
        }
        for (const offset of [...OFFSETS, 2, 0xfff, 0x1fff, 0x5fff, 0x9000]) {
          for (const length of [1, 0x1000, 2 ** 32]) {
            const found = history.at(offset, length).records.map((r) => r.sequence);
            const touching = kept.filter((r) => r.at < offset + length && r.at + r.length > offset);
            assert.deepEqual(
              found,
              touching.map((r) => r.sequence),
              `[${offset}, +${length})`,
            );
          }
        }
        assert.deepEqual(history.state(), {
          sequence: pokes.length,
          records: kept.length,
          sites: new Set(kept.map((r) => r.at)).size,
          dropped: pokes.length - kept.length,
        });
      }),
      300,
    );
  });
});
