/** What the verifier accepts is safe to run: a short round of the fuzzer, and verifiers with a bug that it must find. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Insn, ISA, type VerifyRequest } from '../../src/jit/index.ts';
import { huntVerifier, replayOf, VALUE_SIZE } from './fuzz/verifier.ts';
import { TEST_MAPS } from './support/verify-assembly.ts';

const SEED = Number(process.env['PROPERTY_SEED'] ?? 1);
const RUNS = Number(process.env['KTEXTD_RUNS'] ?? 1_000);
/** A bug of the verifier has to be found among that many programs. */
const FOUND_WITHIN = 4_000;

const operand = ({ meaning }: Insn): unknown => ('from' in meaning ? meaning.from : undefined);

/** A verifier that takes one instruction for another. */
function taking(from: string, to: string): (request: VerifyRequest) => VerifyRequest {
  const others = ISA.filter(({ name }) => name === to);
  const pairs = new Map(
    ISA.filter(({ name }) => name === from).map((insn) => {
      const other = others.find((each) => operand(each) === operand(insn));
      assert.ok(other !== undefined, `${from} has no like in ${to}`);
      return [insn.index, other.index];
    }),
  );
  assert.ok(pairs.size > 0, from);
  return (request) => {
    const insn = request.code.insn.map((index) => pairs.get(index) ?? index) as typeof request.code.insn;
    return { ...request, code: { ...request.code, insn } };
  };
}

const larger = { ...TEST_MAPS[1], valueSize: VALUE_SIZE + 1 } as (typeof TEST_MAPS)[number];

const BUGS: Readonly<Record<string, (request: VerifyRequest) => VerifyRequest>> = {
  'a value for a byte larger than it is': (request) => ({ ...request, map: () => larger }),
  'a signed comparison for an unsigned one': taking('jsgt', 'jgt'),
  'another signed comparison for an unsigned one': taking('jslt', 'jlt'),
  'a store of 8 bytes for one of 1': taking('stxdw', 'stxb'),
  'a load of 8 bytes for one of 1': taking('ldxdw', 'ldxb'),
};

describe('what the verifier accepts', () => {
  it('never leaves its memory and always ends, as given and as rewritten', () => {
    const { accepted, found } = huntVerifier({ seed: SEED, runs: RUNS });
    assert.equal(found, undefined, found && `${found.text}\n${replayOf(found)}`);
    if (RUNS >= 1_000) assert.ok(accepted > RUNS / 10, `${accepted} of ${RUNS} were accepted`);
  });

  for (const [what, mistaken] of Object.entries(BUGS))
    it(`canary: a verifier that takes ${what} is found out`, () => {
      const { found } = huntVerifier({ seed: 1, runs: FOUND_WITHIN, mistaken });
      assert.ok(found !== undefined);
      assert.match(replayOf(found), /^replay: npm run fuzz -- verifier \d+ 1$/);
    });
});
