import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint-file.ts';
import { CheckpointError, ExhaustiveSearch } from './exhaustive.ts';
import { digits } from './toys.fake.ts';

const ASKED = { scenario: 'digits', strategy: { kind: 'exhaustive' } };

const interrupted = (): ExhaustiveSearch => {
  const search = new ExhaustiveSearch(digits(3, -1));
  assert.equal(search.advance(300), undefined);
  return search;
};

describe('a checkpoint as a file', () => {
  it('is read as it was written', () => {
    const checkpoint = interrupted().checkpoint();
    assert.deepEqual(decodeCheckpoint(ASKED, encodeCheckpoint(ASKED, checkpoint)), checkpoint);
  });

  it('is refused when it is of something else, damaged, cut off or none', () => {
    const file = encodeCheckpoint(ASKED, interrupted().checkpoint());
    const damaged = Buffer.from(file);
    const at = Math.floor(file.length / 2);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    for (const [asked, bytes] of [
      [{ ...ASKED, scenario: 'other' }, file],
      [ASKED, damaged],
      [ASKED, file.subarray(0, file.length - 9)],
      [ASKED, gzipSync('null\n')],
      [ASKED, Buffer.from('a checkpoint')],
    ] as const)
      assert.throws(() => decodeCheckpoint(asked, bytes), CheckpointError);
  });

  it('leads nowhere in another space', () => {
    const checkpoint = interrupted().checkpoint();
    assert.throws(() => new ExhaustiveSearch(digits(2, -1), {}, checkpoint), CheckpointError);
  });
});
