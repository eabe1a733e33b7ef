import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BpfCode, type Insn, insnNamed, jitBpf } from '../../src/jit/index.ts';
import { fuzzPrograms } from './fuzz/fuzz.ts';
import { COVERED, TAIL_CALL_HELPER } from './fuzz/program-items.ts';
import { randomFamily } from './fuzz/random-program.ts';
import { type Jit, prepared } from './fuzz/ways.ts';

const RUNS = 1_500;
/** A compiler bug has to be found among that many programs. */
const FOUND_WITHIN = 2_000;

/** A compiler that takes one instruction for another. */
const mistaking =
  (from: Insn, to: Insn): Jit =>
  ({ xlated }, request) => {
    const { code } = xlated;
    const insn = code.insn.map((index) => (index === from.index ? to.index : index));
    const mistaken: BpfCode = { ...code, insn };
    return jitBpf({ xlated: { ...xlated, code: mistaken } }, request);
  };

/** A compiler whose code for the first function saves one register too few. */
const forgettingRegister: Jit = (program, request) => {
  const jited = jitBpf(program, request);
  if (!jited.ok) return jited;
  const bytes = jited.value.bytes.slice();
  // push %r15 becomes push %r14, and the pop stays.
  for (let at = 0; at + 1 < 128 && at + 1 < bytes.length; at++)
    if (bytes[at] === 0x41 && bytes[at + 1] === 0x57) {
      bytes[at + 1] = 0x56;
      break;
    }
  return { ok: true, value: { ...jited.value, bytes } };
};

describe('random programs', () => {
  it('have one result: interpreted, as machine code on a simulated CPU, and on the real one', async (t) => {
    const seed = Number(process.env['KTEXTD_SEED'] ?? 20_191_022);
    const { difference, slots, ways } = await fuzzPrograms({ seed, runs: RUNS });
    t.diagnostic(`${RUNS} programs of ${slots} instructions: ${ways.join(' = ')}`);
    assert.equal(difference, undefined, `${difference?.text}\nreplay: npm run fuzz -- bpf ${difference?.seed} 1`);
  });

  it('have every instruction, tail calls included', () => {
    const seen = new Set<number>();
    let hasTailCall = false;
    for (let seed = 0; seed < 400; seed++)
      for (const { source } of prepared(randomFamily(seed)))
        for (let slot = 0; slot < source.code.length; slot++) {
          seen.add(source.code.insn[slot] as number);
          const isCall = source.code.code[slot] === insnNamed('call').code && source.code.src[slot] === 0;
          if (isCall && source.code.imm[slot] === TAIL_CALL_HELPER) hasTailCall = true;
        }
    assert.deepEqual(
      COVERED.filter(({ index }) => !seen.has(index)).map(({ name }) => name),
      [],
    );
    assert.ok(hasTailCall);
  });

  it('are the same for the same seed', () => {
    assert.deepEqual(randomFamily(7), randomFamily(7));
    assert.notDeepEqual(randomFamily(7), randomFamily(8));
  });
});

describe('a bug of the compiler is found', () => {
  const bugs: readonly (readonly [string, Jit])[] = [
    ['an arithmetic shift is logical', mistaking(insnNamed('arsh32', 'imm'), insnNamed('rsh32', 'imm'))],
    ['a signed comparison is unsigned', mistaking(insnNamed('jsgt', 'imm'), insnNamed('jgt', 'imm'))],
    ['a 32-bit jump compares 64 bits', mistaking(insnNamed('jlt32', 'reg'), insnNamed('jlt', 'reg'))],
    ['a signed remainder is unsigned', mistaking(insnNamed('smod', 'reg'), insnNamed('mod', 'reg'))],
    ['a sign-extending load does not', mistaking(insnNamed('ldxsh'), insnNamed('ldxh'))],
    ['an atomic exchange adds', mistaking(insnNamed('lock xchg'), insnNamed('lock fetch add'))],
    ['a swap is half', mistaking(insnNamed('bswap64'), insnNamed('bswap32'))],
    ['a register is not given back', forgettingRegister],
  ];
  for (const [name, jit] of bugs) {
    it(name, async () => {
      const { difference, programs } = await fuzzPrograms({ seed: 1, runs: FOUND_WITHIN, jit, usesRealCpu: false });
      assert.ok(difference !== undefined, `not among ${programs} programs`);
      assert.ok(difference.text.split('\n').length > 3);
    });
  }
});
