/**
 * Goal: whatever a function's prototype, every program sees every argument word and the function is called as if nobody were there. Method: the generated
 * trampoline runs around a function and programs that write down what they got, on a simulated CPU and, the same bytes, on the real one. What
 * the trampoline calls forgets every register that it may.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { MAX_BPF_FUNC_ARGS, type TrampolineLayout } from '../../src/jit/index.ts';
import { replayable } from '../insn/replay.ts';
import { HAS_NATIVE_CPU } from '../support/native/native-cpu.ts';
import { NativeTraced, simulateTraced, TRACED_PLACE, type TracedResult } from './support/run-traced.ts';
import {
  abiPlaces,
  FIELD,
  FUNCTION_RECORD,
  functionAddress,
  IMAGE_REFERENCES,
  programRecord,
  RETURNED,
  recordReader,
  tracedCode,
  tracedData,
  type WantedProgram,
  type WantedTrace,
} from './support/traced-function.ts';

const FILE = 'test/jit/traced-functions.test.ts';
const RUNS = 250;
const NATIVE_RUNS = 80;
const START = 0x1234n;
const LOW_HALF = 0xffff_ffffn;

/** Sizes of parameters, at most as many words as a layout carries. */
const sizes = (wordsMax: number): fc.Arbitrary<readonly number[]> =>
  fc
    .array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 9, max: 16 })), { maxLength: wordsMax })
    .map((all) => {
      const kept: number[] = [];
      for (const size of all) if (abiPlaces([...kept, size]).length <= wordsMax) kept.push(size);
      return kept;
    });

const program = (kinds: readonly WantedProgram['kind'][]): fc.Arbitrary<WantedProgram> =>
  fc.record({
    kind: fc.constantFrom(...kinds),
    cookie: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    returns: fc.constantFrom(0, 0, 0, 7, -13),
    isSkipped: fc.integer({ min: 0, max: 5 }).map((value) => value === 0),
  });

const words = fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), {
  minLength: MAX_BPF_FUNC_ARGS,
  maxLength: MAX_BPF_FUNC_ARGS,
});

const linuxTrace = (layout: TrampolineLayout, wordsMax: number): fc.Arbitrary<WantedTrace> =>
  fc.record({
    layout: fc.constant(layout),
    argSizes: sizes(wordsMax),
    programs: fc.array(program(['fentry', 'fmod_ret', 'fexit']), { minLength: 1, maxLength: 6 }),
    callsGetFuncIp: fc.boolean(),
    sharesIpmodify: fc.boolean(),
  });

const otherTrace = (layout: TrampolineLayout, wordsMax: number): fc.Arbitrary<WantedTrace> =>
  fc.record({
    layout: fc.constant(layout),
    argSizes: sizes(wordsMax),
    programs: fc.array(
      program(['fentry']).map((each) => ({ ...each, isSkipped: false })),
      { minLength: 1, maxLength: 4 },
    ),
    callsGetFuncIp: fc.constant(false),
    sharesIpmodify: fc.constant(false),
    bmi2: fc.constant(false),
  });

/** A single small argument on the stack may have garbage in its upper half, which the trampoline clears (clean_stack_garbage, 6.12). */
function cleaned(wanted: WantedTrace, given: readonly bigint[]): readonly bigint[] {
  const places = abiPlaces(wanted.argSizes);
  const onStack = places.filter((place) => 'stack' in place).length;
  const isCleaned = onStack === 1 && (wanted.argSizes.at(-1) ?? 8) <= 4;
  return places.map((place, index) => {
    const word = given[index] ?? 0n;
    return isCleaned && 'stack' in place ? word & LOW_HALF : word;
  });
}

/** Checks what a run left against what has to come of it. */
function check(wanted: WantedTrace, given: readonly bigint[], result: TracedResult): void {
  assert.ok(!('problem' in result), 'problem' in result ? result.problem : '');
  const read = recordReader(result.data);
  const isLinux = wanted.layout.startsWith('linux');
  const seen = isLinux ? cleaned(wanted, given) : given.slice(0, abiPlaces(wanted.argSizes).length);
  const context = wanted.layout === 'seed' ? seen.toReversed() : seen;
  const callsOriginal = wanted.programs.some(({ kind }) => kind !== 'fentry');

  let order = 0n;
  let answer = 0n;
  let isLeftOut = false;
  const ran = (index: number, each: WantedProgram): void => {
    const record = programRecord(index);
    if (isLinux) {
      assert.equal(read(record, FIELD.cookie), each.cookie, `cookie of program ${index}`);
      assert.equal(read(record, FIELD.started), each.isSkipped ? 0n : START, `start of program ${index}`);
    }
    if (each.isSkipped) return;
    assert.equal(read(record, FIELD.order), order, `turn of program ${index}`);
    order += 1n;
    for (const [word, expected] of context.entries())
      assert.equal(read(record, 8 * word), expected, `word ${word} of program ${index}`);
    if (isLinux) assert.equal(read(record, FIELD.count), BigInt(context.length));
    if (isLinux && wanted.callsGetFuncIp) assert.equal(read(record, FIELD.ip), functionAddress(TRACED_PLACE));
  };
  const ofKind = (kind: WantedProgram['kind']): readonly (readonly [number, WantedProgram])[] =>
    [...wanted.programs.entries()].filter(([, each]) => each.kind === kind);
  for (const [index, each] of ofKind('fentry')) ran(index, each);
  for (const [index, each] of ofKind('fmod_ret')) {
    if (isLeftOut) continue;
    ran(index, each);
    if (each.isSkipped) continue;
    answer = BigInt.asUintN(64, BigInt(each.returns));
    isLeftOut = answer !== 0n;
  }
  if (!isLeftOut) {
    answer = RETURNED;
    // Only where the trampoline copied the arguments is the garbage gone.
    const got = callsOriginal ? seen : given;
    for (const [word] of seen.entries())
      assert.equal(read(FUNCTION_RECORD, 8 * word), got[word], `word ${word} of the function`);
    const onStack = abiPlaces(wanted.argSizes).some((place) => 'stack' in place);
    if (onStack || !callsOriginal) assert.equal(read(FUNCTION_RECORD, FIELD.alignment) % 16n, 8n, 'alignment');
  }
  for (const [index, each] of ofKind('fexit')) {
    ran(index, each);
    if (!each.isSkipped)
      assert.equal(read(programRecord(index), 8 * context.length), answer, `return value seen by ${index}`);
  }
  assert.equal(result.value, answer);
  assert.equal(read(0, IMAGE_REFERENCES), 0n);
}

function simulate(wanted: WantedTrace, given: readonly bigint[]): void {
  const { code, places } = tracedCode(wanted, TRACED_PLACE);
  check(wanted, given, simulateTraced(code, tracedData(wanted, places, given)));
}

const LAYOUTS: readonly (readonly [string, fc.Arbitrary<WantedTrace>])[] = [
  ['linux-6.12', linuxTrace('linux-6.12', MAX_BPF_FUNC_ARGS)],
  ['linux-6.1', linuxTrace('linux-6.1', 6)],
  ['seed', otherTrace('seed', 6)],
  ['frame', otherTrace('frame', MAX_BPF_FUNC_ARGS)],
  ['registers', otherTrace('registers', 5)],
  ['r11', otherTrace('r11', MAX_BPF_FUNC_ARGS)],
];

describe('traced functions on a simulated CPU', () => {
  for (const [name, trace] of LAYOUTS)
    it(`are called, and programs see all their words: ${name}`, () => {
      fc.assert(fc.property(trace, words, simulate), replayable(FILE, RUNS));
    });

  it('without a trampoline the function gets its words: the harness itself', () => {
    fc.assert(
      fc.property(otherTrace('frame', MAX_BPF_FUNC_ARGS), words, (wanted, given) =>
        simulate({ ...wanted, programs: [] }, given),
      ),
      replayable(FILE, 30),
    );
  });
});

describe('traced functions on the real CPU', { skip: !HAS_NATIVE_CPU }, () => {
  let cpu: NativeTraced;
  before(() => {
    cpu = new NativeTraced();
  });
  after(() => cpu.close());

  for (const [name, trace] of LAYOUTS)
    it(`are called, and programs see all their words: ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(trace, words, async (wanted, given) => {
          const { code, places } = tracedCode(wanted, TRACED_PLACE);
          check(wanted, given, await cpu.run(code, tracedData(wanted, places, given)));
        }),
        replayable(FILE, NATIVE_RUNS),
      );
    });
});
