/**
 * Where compilers of BPF go wrong: every operation on numbers at the edges, in the registers that x86 treats specially; jumps of every length about
 * which an encoding changes; programs of many instructions. Arithmetic is compared with a model of RFC 9669 that shares nothing with src/jit.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kernelAddress, seededPrng } from '../../src/base/index.ts';
import { assembleBpf, jitBpf, type PreparedBpf, prepareRawBpf } from '../../src/jit/index.ts';
import { PROGRAMS_AT } from '../support/native/area.ts';
import { HAS_NATIVE_CPU, NATIVE_JIT_CPU, type NativeCpu, startNativeCpu } from '../support/native/native-cpu.ts';
import { value } from '../support/results.ts';
import { interpreted, jitedForSimulation, SIMULATED_CPU, simulated } from './support/three-ways.ts';

const EDGES = [
  0n,
  1n,
  33n,
  64n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1234_5678_9abc_def0n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_fffen,
  0xffff_ffff_ffff_ffffn,
];
const IMMEDIATES = [0, 1, 2, -1, -2, 31, 63, 127, 128, -128, -129, 0xffff, 0x7fff_ffff, -0x8000_0000];
const WORD = 8;

let native: NativeCpu | undefined;
before(async () => {
  if (HAS_NATIVE_CPU) native = await startNativeCpu();
});
after(() => native?.close());

const program = (asm: string): PreparedBpf => value(prepareRawBpf(value(assembleBpf(asm))));

interface Left {
  readonly value: bigint;
  readonly memory: Uint8Array;
}

/** What every way leaves behind that there is; with and without BMI2 and blinding. */
async function everyWay(asm: string, initial: Uint8Array): Promise<readonly Left[]> {
  const prepared = program(asm);
  const left: Left[] = [];
  const add = (outcome: ReturnType<typeof interpreted>, memory: Uint8Array): void => {
    assert.equal(outcome.kind, 'returned');
    if (outcome.kind === 'returned') left.push({ value: outcome.value, memory });
  };
  const memory = initial.slice();
  add(interpreted(prepared, memory), memory);
  for (const [bmi2, blind] of [
    [true, undefined],
    [false, seededPrng(1)],
  ] as const) {
    // Simulating takes longest: each program once, its variants on the real CPU.
    if (bmi2 || native === undefined) {
      const simulatedMemory = initial.slice();
      const jited = jitedForSimulation(prepared, { ...SIMULATED_CPU, bmi2 }, blind);
      add(simulated(jited, simulatedMemory), simulatedMemory);
    }
    if (native === undefined) continue;
    const cpu = { ...NATIVE_JIT_CPU, bmi2 };
    const request = { at: PROGRAMS_AT, base: native.base, cpu, helper: () => undefined };
    const { bytes } = value(jitBpf(prepared, { ...request, ...(blind === undefined ? {} : { blind }) }));
    const [result] = await native.execute({ code: bytes, runs: [{ entry: PROGRAMS_AT, memory: initial }] });
    if (result !== undefined) left.push(result);
  }
  return left;
}

const words = (memory: Uint8Array): readonly bigint[] => [
  ...new BigUint64Array(memory.buffer.slice(memory.byteOffset, memory.byteOffset + memory.length)),
];
const bytesOf = (numbers: readonly bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(numbers).buffer);

type Width = 32 | 64;
const OPS = ['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'mod', 'xor', 'arsh', 'sdiv', 'smod'] as const;
type Op = (typeof OPS)[number];

/** RFC 9669, section 4.1: division by 0 gives 0, a remainder by 0 the dividend, shifts take the count modulo the width. */
function model(op: Op, width: Width, first: bigint, second: bigint): bigint {
  const [a, b] = [BigInt.asUintN(width, first), BigInt.asUintN(width, second)];
  const [sa, sb] = [BigInt.asIntN(width, first), BigInt.asIntN(width, second)];
  const count = b & BigInt(width - 1);
  const results: Readonly<Record<Op, () => bigint>> = {
    add: () => a + b,
    sub: () => a - b,
    mul: () => a * b,
    div: () => (b === 0n ? 0n : a / b),
    mod: () => (b === 0n ? a : a % b),
    sdiv: () => (sb === 0n ? 0n : sa / sb),
    smod: () => (sb === 0n ? sa : sa % sb),
    or: () => a | b,
    and: () => a & b,
    xor: () => a ^ b,
    lsh: () => a << count,
    rsh: () => a >> count,
    arsh: () => sa >> count,
  };
  return BigInt.asUintN(width, results[op]());
}

const COMPARISONS = ['jeq', 'jne', 'jgt', 'jge', 'jlt', 'jle', 'jset', 'jsgt', 'jsge', 'jslt', 'jsle'] as const;
function holds(op: (typeof COMPARISONS)[number], width: Width, first: bigint, second: bigint): boolean {
  const cut = op.startsWith('js') && op !== 'jset' ? BigInt.asIntN : BigInt.asUintN;
  const [a, b] = [cut(width, first), cut(width, second)];
  const name = op.replace(/^js(?!et)/, 'j');
  if (name === 'jset') return (a & b) !== 0n;
  if (name === 'jeq' || name === 'jne') return (a === b) === (name === 'jeq');
  const isGreater = name === 'jgt' || name === 'jge';
  return a === b ? name.endsWith('e') : a > b === isGreater;
}

/** Runs `body` for every pair of edges: it finds them in two registers and leaves its answer in the first. R1 and R5 count. */
const overPairs = (a: number, b: number, body: string): string => `
  mov %r5, %r1
  add %r5, %r2
  again:
  ldxdw %r${a}, [%r1]
  ldxdw %r${b}, [%r1+8]
  ${body}
  stxdw [%r1+16], %r${a}
  add %r1, 24
  jne %r1, %r5, again
  mov %r0, 0
  exit`;
const PAIRS = EDGES.flatMap((a) => EDGES.map((b) => [a, b] as const));
const PAIR_MEMORY = bytesOf(PAIRS.flatMap(([a, b]) => [a, b, 0n]));

async function checkPairs(
  what: string,
  asm: string,
  expected: (a: bigint, b: bigint) => bigint,
): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const [way, { memory }] of (await everyWay(asm, PAIR_MEMORY)).entries()) {
    const found = words(memory);
    for (const [index, [a, b]] of PAIRS.entries())
      if (found[index * 3 + 2] !== expected(a, b))
        wrong.push(`${what} way ${way}: 0x${a.toString(16)}, 0x${b.toString(16)}`);
  }
  return wrong;
}

const suffix = (width: Width): string => (width === 64 ? '' : '32');
/** %rax, %rdx and %rcx in both places, and registers that need a REX. */
const REGISTERS = [
  [0, 3],
  [4, 2],
  [2, 4],
  [3, 4],
  [4, 0],
  [6, 9],
] as const;

describe('operations on numbers at the edges', () => {
  for (const width of [32, 64] as const)
    for (const op of OPS)
      it(`${op}${suffix(width)} by a register`, async () => {
        for (const [a, b] of REGISTERS) {
          const asm = overPairs(a, b, `${op}${suffix(width)} %r${a}, %r${b}`);
          assert.deepEqual(await checkPairs(`r${a}, r${b}`, asm, (x, y) => model(op, width, x, y)), []);
        }
      });

  for (const width of [32, 64] as const)
    it(`by a constant, ${width} bits`, async () => {
      const wrong: string[] = [];
      for (const op of OPS)
        for (const register of [0, 7]) {
          const constants = /sh$/.test(op) ? IMMEDIATES.filter((imm) => imm >= 0 && imm < width) : IMMEDIATES;
          const steps = constants.map(
            (imm, index) =>
              `ldxdw %r${register}, [%r1]\n${op}${suffix(width)} %r${register}, ${imm}\nstxdw [%r1+${WORD * (index + 1)}], %r${register}`,
          );
          const stride = WORD * (constants.length + 1);
          const asm = `mov %r5, %r1\nadd %r5, %r2\nagain:\n${steps.join('\n')}\nadd %r1, ${stride}\njne %r1, %r5, again\nmov %r0, 0\nexit`;
          const memory = bytesOf(EDGES.flatMap((edge) => [edge, ...constants.map(() => 0n)]));
          const expected = EDGES.flatMap((edge) => [
            edge,
            ...constants.map((imm) => model(op, width, edge, BigInt(imm))),
          ]);
          for (const [way, left] of (await everyWay(asm, memory)).entries())
            if (words(left.memory).join() !== expected.join()) wrong.push(`${op} r${register} way ${way}`);
        }
      assert.deepEqual(wrong, []);
    });

  for (const width of [32, 64] as const)
    it(`comparisons of ${width} bits`, async () => {
      for (const op of COMPARISONS)
        for (const [a, b] of [
          [0, 3],
          [6, 9],
        ] as const) {
          const body = `mov %r8, 1\n${op}${suffix(width)} %r${a}, %r${b}, +1\nmov %r8, 0\nmov %r${a}, %r8`;
          const asm = overPairs(a, b, body);
          assert.deepEqual(await checkPairs(op, asm, (x, y) => BigInt(holds(op, width, x, y))), []);
        }
    });

  it('a wrong model is noticed', async () => {
    const asm = overPairs(0, 3, 'add %r0, %r3');
    assert.notDeepEqual(await checkPairs('', asm, (a, b) => model('sub', 64, a, b)), []);
  });
});

const FETCHED: Readonly<Record<string, (old: bigint, operand: bigint) => bigint>> = {
  add: (old, operand) => old + operand,
  or: (old, operand) => old | operand,
  and: (old, operand) => old & operand,
  xor: (old, operand) => old ^ operand,
  xchg: (_, operand) => operand,
};

describe('atomic operations at the edges', () => {
  for (const width of [32, 64] as const)
    for (const where of ['memory', 'stack'] as const)
      it(`of ${width} bits, in ${where}`, async () => {
        const place = where === 'memory' ? '[%r1]' : '[%r10-16]';
        for (const [op, after] of Object.entries(FETCHED))
          for (const isFetch of op === 'xchg' ? [true] : [false, true])
            for (const source of [0, 9]) {
              const name = `lock ${isFetch && op !== 'xchg' ? 'fetch ' : ''}${op}${suffix(width)}`;
              // The old value goes to the first register, what is left in memory beside it to the second word.
              const body = `stxdw [%r10-16], %r6\n${name} ${place}, %r${source}\n${where === 'stack' ? 'ldxdw %r6, [%r10-16]\nstxdw [%r1], %r6\n' : ''}mov %r6, %r${source}`;
              const asm = overPairs(6, source, body);
              for (const [way, { memory }] of (await everyWay(asm, PAIR_MEMORY)).entries()) {
                const found = words(memory);
                for (const [index, [old, operand]] of PAIRS.entries()) {
                  const low = BigInt.asUintN(width, after(BigInt.asUintN(width, old), BigInt.asUintN(width, operand)));
                  const left = width === 64 ? low : ((old >> 32n) << 32n) | low;
                  const answer = isFetch ? BigInt.asUintN(width, old) : operand;
                  assert.equal(found[index * 3], left, `${name} r${source} way ${way}: ${old}, ${operand}`);
                  assert.equal(found[index * 3 + 2], answer, `${name} r${source} way ${way}: ${old}, ${operand}`);
                }
              }
            }
      });
});

const sameEverywhere = async (asm: string, expected: bigint): Promise<void> => {
  for (const [way, left] of (await everyWay(asm, new Uint8Array(WORD))).entries())
    assert.equal(left.value, expected, `way ${way}`);
};

describe('jumps about the lengths where an encoding changes', () => {
  /** Instructions of 2 bytes (`xor %eax,%eax` and its like), 3 and 4: every distance can be made of them. */
  const filler = (bytes: number): string =>
    bytes % 3 === 1 && bytes >= 4
      ? `add %r0, 1\n${'add32 %r0, 1\n'.repeat((bytes - 4) / 3)}`
      : bytes % 3 === 2
        ? `mov32 %r0, %r0\n${'add32 %r0, 1\n'.repeat((bytes - 2) / 3)}`
        : 'add32 %r0, 1\n'.repeat(bytes / 3);
  const steps = (bytes: number): bigint => BigInt((filler(bytes).match(/add/g) ?? []).length);

  it('forward', async () => {
    for (let bytes = 118; bytes <= 136; bytes++) {
      for (const jump of ['ja', 'jeq %r3, 0,'])
        await sameEverywhere(`mov %r0, 0\nmov %r3, 0\n${jump} over\n${filler(bytes)}over: add %r0, 5\nexit`, 5n);
    }
  });

  it('backward', async () => {
    for (let bytes = 118; bytes <= 136; bytes++)
      await sameEverywhere(
        `mov %r0, 0\nmov %r3, 3\nagain:\n${filler(bytes)}sub %r3, 1\njne %r3, 0, again\nexit`,
        3n * steps(bytes),
      );
  });

  it('each across the next, so that one that grows makes others grow', async () => {
    for (let count = 30; count <= 60; count += 5) {
      const jumps = Array.from({ length: count }, (_, index) => `jne %r3, 0, l${index}\nadd %r0, 1\n`).join('');
      const labels = Array.from({ length: count }, (_, index) => `l${index}: add %r0, 1\n`).join('');
      await sameEverywhere(`mov %r0, 0\nmov %r3, 0\n${jumps}${labels}exit`, BigInt(2 * count));
    }
  });
});

describe('programs of many instructions', () => {
  it('with constants of 64 bits', async () => {
    const prng = seededPrng(3);
    const constants = Array.from({ length: 4096 }, () => (BigInt(prng.u32()) << 32n) | BigInt(prng.u32()));
    const expected = constants.reduce((sum, constant) => BigInt.asUintN(64, sum + constant), 0n);
    const adds = constants.map((constant) => `lddw %r3, 0x${constant.toString(16)}\nadd %r0, %r3\n`);
    await sameEverywhere(`mov %r0, 0\n${adds.join('')}exit`, expected);
  });

  it('whose jumps lead to and fro over all of it', async () => {
    const count = 2000;
    // 0, last, 1, last but one …: the longest jumps first, then ever shorter ones, in both directions.
    const order = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? index / 2 : count - (index + 1) / 2));
    const next = new Map(order.map((block, index) => [block, order[index + 1]]));
    const blocks = Array.from({ length: count }, (_, block) => {
      const to = next.get(block);
      return `b${block}: add %r0, 1\n${to === undefined ? 'exit' : `ja b${to}`}\n`;
    });
    await sameEverywhere(`mov %r0, 0\n${blocks.join('')}`, BigInt(count));
  });

  it('with a jump further than 16 bits count', async () => {
    await sameEverywhere(`mov %r0, 1\nja32 over\n${'add %r0, 1\n'.repeat(40_000)}over: add %r0, 1\nexit`, 2n);
  });

  it('of a million, and no more', () => {
    const bytes = new Uint8Array(1_000_000 * 8);
    for (let slot = 0; slot < 999_999; slot++) bytes.set([0x07, 0, 0, 0, 1], slot * 8);
    bytes[999_999 * 8] = 0x95;
    const prepared = value(prepareRawBpf(bytes));
    const { bytes: code } = value(
      jitBpf(prepared, {
        at: 0,
        base: kernelAddress(0xffff_ffff_8100_0000n),
        cpu: SIMULATED_CPU,
        helper: () => undefined,
      }),
    );
    assert.ok(code.length > 4 * 999_999);
    const more = prepareRawBpf(new Uint8Array(1_000_001 * 8));
    assert.equal(!more.ok && more.fault.errno, 'E2BIG');
  });
});
