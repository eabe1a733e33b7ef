import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type Tnum,
  tnumAdd,
  tnumAnd,
  tnumArsh,
  tnumIn,
  tnumIntersect,
  tnumLsh,
  tnumMul,
  tnumOr,
  tnumOverlap,
  tnumRange,
  tnumRsh,
  tnumSub,
  tnumXor,
  u64,
} from './tnum.ts';

const BITS = 3;
const VALUES = Array.from({ length: 1 << BITS }, (_, value) => BigInt(value));

/** Every tnum of the low bits, with the numbers that it stands for. */
const ALL = VALUES.flatMap((mask) =>
  VALUES.filter((value) => (value & mask) === 0n).map((value) => ({
    tnum: { value, mask } as Tnum,
    numbers: VALUES.filter((number) => (number & ~mask) === value),
  })),
);
/** The same numbers with ones above: negative ones. */
const NEGATIVE = ALL.map(({ tnum, numbers }) => ({
  tnum: { value: u64(tnum.value | ~7n), mask: tnum.mask },
  numbers: numbers.map((number) => u64(number | ~7n)),
}));

const contains = ({ value, mask }: Tnum, number: bigint): boolean => (u64(number) & ~mask) === value;

const BINARY = {
  add: [tnumAdd, (a: bigint, b: bigint) => a + b],
  sub: [tnumSub, (a: bigint, b: bigint) => a - b],
  mul: [tnumMul, (a: bigint, b: bigint) => a * b],
  and: [tnumAnd, (a: bigint, b: bigint) => a & b],
  or: [tnumOr, (a: bigint, b: bigint) => a | b],
  xor: [tnumXor, (a: bigint, b: bigint) => a ^ b],
} as const;

for (const [name, [abstract, exact]] of Object.entries(BINARY)) {
  test(`${name}: every result of every pair of all numbers of ${BITS} bits, and of their negatives`, () => {
    for (const lefts of [ALL, NEGATIVE])
      for (const left of lefts)
        for (const right of ALL) {
          const result = abstract(left.tnum, right.tnum);
          assert.equal(result.value & result.mask, 0n);
          for (const a of left.numbers)
            for (const b of right.numbers) assert.ok(contains(result, exact(a, b)), `${a} ${name} ${b}`);
        }
  });
}

test('and, or and xor know every bit that can be known', () => {
  for (const left of ALL)
    for (const right of ALL)
      for (const name of ['and', 'or', 'xor'] as const) {
        const [abstract, exact] = BINARY[name];
        const results = left.numbers.flatMap((a) => right.numbers.map((b) => exact(a, b)));
        const differing = results.reduce((bits, result) => bits | (result ^ (results[0] as bigint)), 0n);
        assert.equal(abstract(left.tnum, right.tnum).mask, differing);
      }
});

test('shifts', () => {
  for (const { tnum, numbers } of [...ALL, ...NEGATIVE])
    for (const by of [0n, 1n, 2n, 31n, 63n])
      for (const number of numbers) {
        assert.ok(contains(tnumLsh(tnum, by), number << by));
        assert.ok(contains(tnumRsh(tnum, by), number >> by));
        assert.ok(contains(tnumArsh(tnum, by, 64), BigInt.asIntN(64, number) >> by));
      }
});

test('ranges, intersection, overlap and containment', () => {
  for (const min of VALUES)
    for (const max of VALUES.filter((each) => each >= min))
      for (const number of VALUES.filter((each) => each >= min && each <= max))
        assert.ok(contains(tnumRange(min, max), number));
  for (const left of ALL)
    for (const right of ALL) {
      const both = left.numbers.filter((number) => right.numbers.includes(number));
      assert.equal(tnumOverlap(left.tnum, right.tnum), both.length > 0);
      assert.equal(
        tnumIn(left.tnum, right.tnum),
        right.numbers.every((number) => left.numbers.includes(number)),
      );
      for (const number of both) assert.ok(contains(tnumIntersect(left.tnum, right.tnum), number));
    }
});
