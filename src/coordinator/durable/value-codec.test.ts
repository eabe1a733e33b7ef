import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Map as ImmutableMap, Set as ImmutableSet, is } from 'immutable';
import { straight } from '../../base/index.ts';
import { decodeValue, encodeSteps, encodeValue } from './value-codec.ts';

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.string(),
    fc.integer(),
    fc.bigInt(),
    fc.uint8Array({ maxLength: 9 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c"'), fc.oneof(tie('value'), fc.constant(undefined)), {
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(fc.integer(), tie('value')), { maxLength: 4 }).map((pairs) => ImmutableMap(pairs)),
    fc.array(fc.integer(), { maxLength: 4 }).map((items) => ImmutableSet(items)),
  ),
}));

const textOf = (each: unknown): string => {
  const pieces: string[] = [];
  straight(encodeSteps(each, pieces));
  return pieces.join('');
};

describe('values as JSON', () => {
  it('has the same text in steps as at once', () => {
    fc.assert(
      fc.property(value, (each) => {
        assert.equal(textOf(each), JSON.stringify(encodeValue(each)));
      }),
    );
  });

  it('rests in the tables of an object, and is read back', () => {
    const table = ImmutableMap(
      Array.from({ length: 1_000 }, (_, i) => [i, { bytes: Uint8Array.of(i & 0xff), big: 2n }]),
    );
    const pieces: string[] = [];
    const steps = [...encodeSteps({ state: { table } }, pieces)];
    assert.deepEqual(
      steps.map(({ done, total }) => [done, total]),
      [256, 512, 768, 1_000].map((done) => [done, 1_000]),
    );
    const { state } = decodeValue(JSON.parse(pieces.join(''))) as { state: { table: typeof table } };
    assert.ok(is(state.table.keySeq().toSet(), table.keySeq().toSet()));
    assert.deepEqual(state.table.get(999), table.get(999));
  });
});
