import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HitCounters } from './hit-counters.ts';

const KINDS: Readonly<Record<string, string>> = { a: 'fentry', b: 'kprobe' };
const kindOf = (id: string): string | undefined => KINDS[id];

describe('HitCounters', () => {
  it('counts hits, instructions and misses by reason, of each attachment and of its kind', () => {
    const counters = new HitCounters();
    const fired = [
      { attachment: 'a', instructions: 5 },
      { attachment: 'a', instructions: 7 },
      { attachment: 'gone', instructions: 1 },
    ];
    const misses = [{ attachment: 'b', reason: 'recursion' }];
    counters.count({ ended: 'returned', fired, misses }, kindOf);
    counters.count({ ended: 'fault', fired: [], misses }, kindOf);
    assert.deepEqual(counters.of('a'), { hits: 2, instructions: 12, misses: {} });
    assert.deepEqual(counters.of('b'), { hits: 0, instructions: 0, misses: { recursion: 2 } });
    assert.deepEqual(counters.of('gone'), { hits: 0, instructions: 0, misses: {} });
    assert.deepEqual(counters.totals(), {
      calls: { returned: 1, fault: 1 },
      hits: { fentry: 2 },
      misses: [{ kind: 'kprobe', reason: 'recursion', count: 2 }],
    });
  });

  it('forgets who has left; totals stay', () => {
    const counters = new HitCounters();
    counters.count({ ended: 'returned', fired: [{ attachment: 'a', instructions: 1 }], misses: [] }, kindOf);
    counters.prune(() => false);
    assert.equal(counters.of('a').hits, 0);
    assert.deepEqual(counters.totals().hits, { fentry: 1 });
  });
});
