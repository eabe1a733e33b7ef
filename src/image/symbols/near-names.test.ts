import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { characterSet, distanceWithin, nearNames } from './near-names.ts';

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** The textbook recurrence, whole matrix. */
function distance(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const at = (i: number, j: number): number => d[i]?.[j] as number;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + Number(a[i - 1] !== b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1);
      (d[i] as number[])[j] = best;
    }
  }
  return at(a.length, b.length);
}

test('the bounded distance is the distance as long as that is within the bound', () => {
  const word = fc.stringMatching(/^[abc_]{0,10}$/);
  fc.assert(
    fc.property(word, word, fc.integer({ min: 1, max: 5 }), (a, b, limit) => {
      const rows = [0, 1, 2].map(() => new Uint8Array(a.length + 1));
      assert.equal(distanceWithin(limit, rows, latin1(a), latin1(b), 0, b.length), Math.min(distance(a, b), limit + 1));
    }),
    { numRuns: 2000 },
  );
});

function near(names: readonly string[], wanted: string, limit = 5): string[] {
  const bytes = latin1(names.join(''));
  const starts = names.map((_, i) => names.slice(0, i).join('').length);
  const end = (i: number): number => (starts[i] as number) + (names[i] as string).length;
  const candidates = Uint32Array.from(names.keys());
  const sets = candidates.map((i) => characterSet(bytes, starts[i] as number, end(i)));
  return nearNames({ names: bytes, start: (i) => starts[i] as number, end }, candidates, sets, wanted, limit).map(
    (i) => names[i] as string,
  );
}

test('nearest first, then names that begin alike', () => {
  const names = ['vfs_write', 'tcp_set_state', 'tcp_set_stats', 'tcp_set_state_and_more_of_it', 'udp_get_state'];
  assert.deepEqual(near(names, 'tcp_set_state'), [
    'tcp_set_state',
    'tcp_set_stats',
    'udp_get_state',
    'tcp_set_state_and_more_of_it',
  ]);
  assert.deepEqual(near(names, 'vsf_write'), ['vfs_write']);
  assert.deepEqual(near(names, 'unrelated_thing'), []);
  assert.deepEqual(near(names, ''), []);
});
