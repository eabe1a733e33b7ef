import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ReadableText } from '../base/index.ts';
import { ForkText } from './plan-text.ts';

const START = 10;
const SIZE = 300;

/** Text from START on, so that lines at both ends are only partly there. */
function below(): ReadableText {
  const all = Uint8Array.from({ length: SIZE }, (_, i) => i & 0xff);
  return {
    contains: (at, length) => at >= START && at + length <= START + SIZE,
    u8: (at) => all[at - START] as number,
    bytes: (at, length) => all.slice(at - START, at - START + length),
  };
}

const write = fc.tuple(fc.nat(SIZE - 1), fc.uint8Array({ minLength: 1, maxLength: 80 })).map(([from, bytes]) => ({
  at: START + from,
  bytes: bytes.slice(0, SIZE - from),
}));

describe('ForkText', () => {
  it('reads as text that was written to, and leaves the text before as it was', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
        const expected = below().bytes(START, SIZE);
        let text = ForkText.over(below());
        for (const { at, bytes } of writes) {
          const before = text.bytes(START, SIZE);
          const next = text.after([{ kind: 'install', at, bytes, what: 'test' }]);
          assert.deepEqual(text.bytes(START, SIZE), before);
          text = next;
          expected.set(bytes, at - START);
        }
        assert.deepEqual(text.bytes(START, SIZE), expected);
        assert.equal(text.u8(START + SIZE - 1), expected[SIZE - 1]);
        assert.equal(
          text.differing(),
          below()
            .bytes(START, SIZE)
            .filter((byte, i) => byte !== expected[i]).length,
        );
        assert.equal(text.contains(START - 1, 1), false);
      }),
    );
  });
});
