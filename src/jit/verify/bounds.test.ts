/**
 * What is said of a result holds for every result. Method: a few numbers are described by their bounds; an operation on the description
 * has to describe every result of the operation on the numbers. The numbers sit at the ends of ranges, where carries and signs change.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { seededPrng } from '../../base/index.ts';
import type { AluOp, JumpOp, Width } from '../bpf/index.ts';
import { aluOperation, comparison, signExtend } from '../interpret/arithmetic.ts';
import { type Bounds, boundsProblem, low32s, low32u, syncBounds } from './bounds.ts';
import { coerceToSize, coerceToSizeSigned } from './coerce.ts';
import { branchTaken, refineNotTaken, refineTaken } from './comparison.ts';
import { copyReg, newReg, type RegDraft } from './reg.ts';
import { scalarAlu } from './scalar-alu.ts';
import { s64, u64 } from './tnum.ts';

const SEED = Number(process.env['PROPERTY_SEED'] ?? 20_261_125);
const RUNS = Number(process.env['KTEXTD_RUNS'] ?? 4_000);
const replay = (run: number): string =>
  `replay: PROPERTY_SEED=${SEED + run} KTEXTD_RUNS=1 node --import tsx --test src/jit/verify/bounds.test.ts`;

const ENDS = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  1n << 63n,
  (1n << 63n) - 1n,
];

const least = <T extends bigint | number>(values: readonly T[]): T => values.reduce((a, b) => (b < a ? b : a));
const greatest = <T extends bigint | number>(values: readonly T[]): T => values.reduce((a, b) => (b > a ? b : a));

/** The tightest description of some numbers. */
function describe(numbers: readonly bigint[]): RegDraft {
  const reg = newReg('scalar');
  const [first] = numbers as [bigint];
  const mask = numbers.reduce((bits, number) => bits | (number ^ first), 0n);
  reg.tnum = { value: first & ~mask, mask };
  reg.umin = least(numbers);
  reg.umax = greatest(numbers);
  reg.smin = least(numbers.map(s64));
  reg.smax = greatest(numbers.map(s64));
  reg.u32min = least(numbers.map(low32u));
  reg.u32max = greatest(numbers.map(low32u));
  reg.s32min = least(numbers.map(low32s));
  reg.s32max = greatest(numbers.map(low32s));
  syncBounds(reg);
  return reg;
}

function holds(b: Readonly<Bounds>, number: bigint): boolean {
  const [u, s, u32, s32] = [u64(number), s64(number), low32u(number), low32s(number)];
  const isInside = u >= b.umin && u <= b.umax && s >= b.smin && s <= b.smax;
  const isInside32 = u32 >= b.u32min && u32 <= b.u32max && s32 >= b.s32min && s32 <= b.s32max;
  return isInside && isInside32 && (u & ~b.tnum.mask) === b.tnum.value;
}

interface Sample {
  readonly numbers: readonly bigint[];
  readonly reg: RegDraft;
}

type Random = ReturnType<typeof seededPrng>;

function sample(random: Random): Sample {
  const base = ENDS[random.below(ENDS.length)] as bigint;
  const count = 1 + random.below(4);
  const spread = [2, 16, 300, 0x1_0000][random.below(4)] as number;
  const sign = random.below(2) === 0 ? 1n : -1n;
  const numbers = Array.from({ length: count }, () =>
    u64(sign * base + BigInt(random.below(spread)) - BigInt(spread >> 1)),
  );
  return { numbers, reg: describe(numbers) };
}

function everyRun(check: (random: Random, run: number) => void): void {
  for (let run = 0; run < RUNS; run++) check(seededPrng(SEED + run), run);
}

const WIDTHS: readonly Width[] = [32, 64];
const OPS: readonly AluOp[] = ['add', 'sub', 'mul', 'and', 'or', 'xor', 'lsh', 'rsh', 'arsh', 'div', 'mod'];

test('arithmetic describes every result', () => {
  everyRun((random, run) => {
    const left = sample(random);
    const op = OPS[random.below(OPS.length)] as AluOp;
    const width = WIDTHS[random.below(2)] as Width;
    const isShift = op === 'lsh' || op === 'rsh' || op === 'arsh';
    const count = [BigInt(random.below(width))];
    const right = isShift ? { numbers: count, reg: describe(count) } : sample(random);
    const result = copyReg(left.reg);
    scalarAlu(op, width, result, right.reg);
    for (const a of left.numbers)
      for (const b of right.numbers) {
        const exact = aluOperation(op, width)(a, b);
        assert.ok(holds(result, exact), `${replay(run)}\n${a} ${op}${width} ${b} = ${exact}`);
      }
  });
});

const JUMPS: readonly JumpOp[] = ['jeq', 'jne', 'jgt', 'jge', 'jlt', 'jle', 'jset', 'jsgt', 'jsge', 'jslt', 'jsle'];

test('comparisons: what is decided is so, and what is found out holds on its path', () => {
  everyRun((random, run) => {
    const [left, right] = [sample(random), sample(random)];
    const op = JUMPS[random.below(JUMPS.length)] as JumpOp;
    const width = WIDTHS[random.below(2)] as Width;
    const decided = branchTaken(op, left.reg, right.reg, width);
    for (const a of left.numbers)
      for (const b of right.numbers) {
        const isTaken = comparison(op, width)(a, b);
        const what = `${replay(run)}\n${a} ${op}${width} ${b} is ${isTaken}`;
        if (decided !== undefined) assert.equal(decided, isTaken, what);
        const [x, y] = [copyReg(left.reg), copyReg(right.reg)];
        (isTaken ? refineTaken : refineNotTaken)(op, x, y, width);
        syncBounds(x);
        syncBounds(y);
        assert.ok(holds(x, a) && holds(y, b), what);
        assert.equal(boundsProblem(x), undefined, what);
      }
  });
});

test('loads of part of a number', () => {
  everyRun((random, run) => {
    const { numbers, reg } = sample(random);
    const size = ([1, 2, 4] as const)[random.below(3)] as 1 | 2 | 4;
    const [plain, signed] = [copyReg(reg), copyReg(reg)];
    coerceToSize(plain, size);
    coerceToSizeSigned(signed, size);
    for (const number of numbers) {
      const bits = (size * 8) as 8 | 16 | 32;
      assert.ok(holds(plain, BigInt.asUintN(bits, number)), `${replay(run)}\n${number} cut to ${bits}`);
      assert.ok(holds(signed, signExtend(bits, 64, number)), `${replay(run)}\n${number} extended from ${bits}`);
    }
  });
});
