import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AddressSpace, InstructionFetch } from '../../src/cpu/index.ts';
import { FORMS } from '../../src/cpu/index.ts';
import { NativeProcess, nativeUnavailable } from '../support/native-process/native-process.ts';
import { comparableForms, prepareNative, runSimulated } from './compare.ts';
import { compareCases, type Simulate } from './fuzz.ts';

const CASES = 2_560;
const reason = nativeUnavailable();

/** A CPU that takes one opcode (behind a REX prefix, if any) for another. */
function mistaking(opcode: number, other: number): Simulate {
  const fetch = (space: AddressSpace): InstructionFetch => ({
    fetch: (_cpu, high, low, out) => {
      const available = space.fetch(high, low, out);
      const at = ((out[0] ?? 0) & 0xf0) === 0x40 ? 1 : 0;
      if (out[at] === opcode) out[at] = other;
      return available;
    },
    serialised: () => undefined,
  });
  return (batch) => runSimulated(batch, fetch);
}

describe('the simulated CPU and the real one', { skip: reason ?? false }, () => {
  let native: NativeProcess;
  let features: readonly string[];
  before(async () => {
    native = new NativeProcess();
    features = await prepareNative(native);
  });
  after(() => native.close());

  it('agree on random sequences of every form that a process may execute', async () => {
    const { difference, forms } = await compareCases(native, { seed: 20_240_601, cases: CASES, features });
    assert.equal(
      difference,
      undefined,
      `${difference?.form}\n${difference?.text}\nreplay: npm run fuzz -- cpu ${difference?.seed} ${difference?.count}`,
    );
    assert.equal(forms, new Set(comparableForms(features).map((form) => `${form.encoding} ${form.operands}`)).size);
  });

  it('every form is compared, or says why not', () => {
    const compared = new Set(
      comparableForms([
        'bmi1',
        'bmi2',
        'adx',
        'abm',
        'popcnt',
        'movbe',
        'sse4_2',
        'clflushopt',
        'clwb',
        'lahf_lm',
        'cx16',
      ]),
    );
    for (const form of FORMS) assert.equal(compared.has(form), form.notCompared === undefined, form.name);
  });

  for (const [name, opcode, other] of [
    ['adc for add: a flag that is not read', 0x11, 0x01],
    ['sbb for sub, from memory too', 0x1b, 0x2b],
    ['xor for or', 0x33, 0x0b],
    ['test for nothing but its flags', 0x85, 0x89],
  ] as const) {
    it(`canary: a CPU that takes ${name} is found out`, async () => {
      const { difference } = await compareCases(native, { seed: 11, cases: 256, features }, mistaking(opcode, other));
      assert.notEqual(difference, undefined);
      assert.match(difference?.form ?? '', new RegExp(`${opcode.toString(16)} /r`));
    });
  }
});
