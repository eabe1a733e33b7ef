import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ReadableText } from '../base/index.ts';
import { OverlayText } from './overlay-text.ts';
import type { TextOp } from './text-op.ts';

const SIZE = 64;

const below = (): ReadableText => ({
  contains: (offset, length) => offset >= 0 && offset + length <= SIZE,
  u8: () => 0x90,
  bytes: (_offset, length) => new Uint8Array(length).fill(0x90),
});

const bytes = fc.uint8Array({ minLength: 1, maxLength: 5 });
const change = fc.record({ at: fc.nat(SIZE - 5), bytes, expected: bytes });
const op: fc.Arbitrary<TextOp> = fc.oneof(
  change.map((each) => ({ kind: 'poke' as const, what: '', ...each })),
  change.map((each) => ({ kind: 'byte' as const, what: '', ...each })),
  change.map(({ at, bytes: code }) => ({ kind: 'install' as const, what: '', at, bytes: code })),
  change.map(({ at, expected }) => ({ kind: 'remove' as const, what: '', at, expected, after: [] })),
  fc.array(change, { maxLength: 4 }).map((changes) => ({ kind: 'batch' as const, what: '', changes })),
);

/** The same ops on a plain array. */
function model(ops: readonly TextOp[]): Uint8Array {
  const text = new Uint8Array(SIZE).fill(0x90);
  for (const each of ops) {
    if (each.kind === 'batch') for (const { at, bytes: code } of each.changes) text.set(code, at);
    else if (each.kind === 'remove') text.fill(0xcc, each.at, each.at + each.expected.length);
    else if (each.kind !== 'wait') text.set(each.bytes, each.at);
  }
  return text;
}

describe('an overlay', () => {
  it('shows text as it would be after any ops', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 12 }), fc.nat(SIZE - 8), (ops, from) => {
        const overlay = new OverlayText(below());
        for (const each of ops) overlay.apply(each);
        const wanted = model(ops);
        assert.deepEqual(overlay.bytes(0, SIZE), wanted);
        assert.deepEqual(overlay.bytes(from, 8), wanted.slice(from, from + 8));
        assert.equal(overlay.u8(from), wanted[from]);
      }),
    );
  });

  it('leaves what is below as it is, and hands out copies', () => {
    const text = new OverlayText(below());
    const above = new OverlayText(text);
    above.apply({ kind: 'install', at: 3, bytes: Uint8Array.of(1), what: '' });
    above.bytes(3, 1)[0] = 7;
    assert.deepEqual([text.u8(3), above.u8(3)], [0x90, 1]);
    assert.throws(() => above.apply({ kind: 'install', at: SIZE, bytes: Uint8Array.of(1), what: '' }));
  });
});
