/**
 * Goal: a program that is compiled for one function computes what it computes through the context. Method: random programs that read the context in
 * every way (copies of it, all sizes, across calls, divisions and branches, passed to a function of the program) write their registers down,
 * under the trampoline of 6.12 and under each that passes nothing.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DirectLayout } from '../../src/jit/index.ts';
import { replayable } from '../insn/replay.ts';
import { HAS_NATIVE_CPU } from '../support/native/native-cpu.ts';
import { NativeTraced, simulateTraced, TRACED_PLACE, type TracedResult } from './support/run-traced.ts';
import {
  FIELD,
  programRecord,
  recordReader,
  tracedCode,
  tracedData,
  type WantedTrace,
} from './support/traced-function.ts';

const FILE = 'test/jit/direct-arguments.test.ts';
const LAYOUTS: readonly DirectLayout[] = ['frame', 'registers', 'r11'];
const WORDS = 5;
/** Registers that a body computes in; R6 is the context, R7 the record, R9 a copy of the context. */
const SCALARS = [0, 1, 2, 3, 4, 5];

const scalar = fc.constantFrom(...SCALARS);
const wordOffset = fc.integer({ min: 0, max: WORDS - 1 }).map((word) => 8 * word);
const immediate = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });

/** Lines of the suite's syntax, each of which leaves every register with a value. */
const line: fc.Arbitrary<readonly string[]> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(scalar, wordOffset).map(([dst, off]) => [`ldxdw %r${dst}, [%r6+${off}]`]) },
  { weight: 2, arbitrary: fc.tuple(scalar, wordOffset).map(([dst, off]) => [`ldxdw %r${dst}, [%r9+${off}]`]) },
  fc
    .tuple(fc.constantFrom('ldxb', 'ldxh', 'ldxw', 'ldxsb', 'ldxsh', 'ldxsw'), scalar, wordOffset)
    .map(([name, dst, off]) => [`${name} %r${dst}, [%r6+${off}]`]),
  fc
    .tuple(fc.constantFrom('div', 'mod', 'sdiv', 'smod'), scalar, immediate)
    .map(([op, dst, imm]) => [`${op} %r${dst}, ${imm}`]),
  fc
    .tuple(fc.constantFrom('add', 'xor', 'lsh', 'rsh32', 'arsh', 'div', 'mod32', 'sdiv', 'mul'), scalar, scalar)
    .map(([op, dst, src]) => [`${op} %r${dst}, %r${src}`]),
  fc
    .tuple(fc.constantFrom('or', 'and', 'xor', 'add'), scalar)
    .map(([op, src]) => ['stdw [%r10-8], 85', `lock fetch ${op} [%r10-8], %r${src}`]),
  fc.tuple(scalar, scalar).map(([dst, src]) => [`mov %r${dst}, %r${src}`]),
);

const CALL_FUNCTION = ['mov %r1, %r6', 'call local f', ...[1, 2, 3, 4, 5].map((each) => `mov %r${each}, ${each}`)];
const CALL_WITHOUT_CONTEXT = ['mov %r1, 3', 'call local g', ...[1, 2, 3, 4, 5].map((each) => `mov %r${each}, ${each}`)];

const block = (calls: readonly (readonly string[])[]): fc.Arbitrary<readonly string[]> =>
  fc.oneof(
    { weight: 8, arbitrary: line },
    { weight: 1, arbitrary: fc.constantFrom(...calls) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('jgt', 'jslt', 'jset32'), scalar, immediate, line)
        .map(([op, dst, imm, skipped]) => [`${op} %r${dst}, ${imm}, +${skipped.length}`, ...skipped]),
    },
  );

/** The first lines give every register a value, by reads or by constants, in any order. */
const start = fc
  .shuffledSubarray(SCALARS, { minLength: SCALARS.length })
  .chain((order) =>
    fc.tuple(
      ...order.map((dst) =>
        fc.option(wordOffset).map((off) => (off === null ? `mov %r${dst}, ${dst}` : `ldxdw %r${dst}, [%r6+${off}]`)),
      ),
    ),
  );

const END = [
  ...SCALARS.map((register) => `stxdw [%r7+${8 * register}], %r${register}`),
  'mov %r0, 0',
  'exit',
  'f: ldxdw %r0, [%r1+8]',
  'ldxw %r1, [%r1+32]',
  'xor %r0, %r1',
  'exit',
  'g: mov %r0, %r1',
  'mov %r6, 1',
  'mul %r0, 3',
];

const bodies = (calls: readonly (readonly string[])[]): fc.Arbitrary<string> =>
  fc
    .tuple(start, fc.array(block(calls), { maxLength: 24 }))
    .map(([first, blocks]) => ['mov %r9, %r6', ...first, ...blocks.flat(), ...END].join('\n'));
/** Some pass the context on; some call what does not get it; the others call nothing. */
const body = fc.oneof(bodies([CALL_FUNCTION]), bodies([CALL_WITHOUT_CONTEXT]), bodies([[]]));
const words = fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: WORDS, maxLength: WORDS });

const wanted = (layout: WantedTrace['layout'], bodyText: string, bmi2: boolean): WantedTrace => {
  const program = { kind: 'fentry', cookie: 0n, returns: 0, isSkipped: false, body: bodyText } as const;
  // A second program finds what the first one found.
  return {
    layout,
    argSizes: [8, 16, 4, 8],
    programs: [program, program],
    callsGetFuncIp: false,
    sharesIpmodify: false,
    bmi2,
  };
};

type Run = (code: Uint8Array, data: Uint8Array) => TracedResult | Promise<TracedResult>;

/** What both programs wrote down. */
async function registersOf(trace: WantedTrace, given: readonly bigint[], run: Run): Promise<readonly bigint[]> {
  const { code, places } = tracedCode(trace, TRACED_PLACE);
  const result = await run(code, tracedData(trace, places, given));
  assert.ok(!('problem' in result), 'problem' in result ? `${trace.layout}: ${result.problem}` : '');
  const read = recordReader(result.data);
  return [0, 1].flatMap((index) => [
    ...SCALARS.map((register) => read(programRecord(index), 8 * register)),
    read(programRecord(index), FIELD.order),
  ]);
}

const agree = (run: Run) => async (text: string, given: readonly bigint[], bmi2: boolean) => {
  const expected = await registersOf(wanted('linux-6.12', text, bmi2), given, run);
  for (const layout of LAYOUTS)
    assert.deepEqual(await registersOf(wanted(layout, text, bmi2), given, run), expected, layout);
};

describe('arguments read directly', () => {
  it('are those that the context has, on a simulated CPU', async () => {
    await fc.assert(fc.asyncProperty(body, words, fc.boolean(), agree(simulateTraced)), replayable(FILE, 200));
  });

  it('are those that the context has, on the real CPU', { skip: !HAS_NATIVE_CPU }, async () => {
    const cpu = new NativeTraced();
    try {
      const run: Run = (code, data) => cpu.run(code, data);
      await fc.assert(
        fc.asyncProperty(body, words, (text, given) => agree(run)(text, given, false)),
        replayable(FILE, 60),
      );
    } finally {
      cpu.close();
    }
  });

  it('need no register and no copy of the context', () => {
    const text = ['ldxdw %r2, [%r6+8]', 'stxdw [%r7], %r2'].join('\n');
    const sizes = (['linux-6.12', ...LAYOUTS] as const).map(
      (layout) => tracedCode(wanted(layout, text, true), TRACED_PLACE).programs[0]?.length ?? 0,
    );
    const [linux = 0, ...direct] = sizes;
    for (const size of direct) assert.ok(size < linux, `${sizes.join(', ')}`);
  });
});
