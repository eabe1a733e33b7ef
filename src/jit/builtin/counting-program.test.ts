import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../base/index.ts';
import { generateCountingProgram } from '../index.ts';

const COUNTER = 0xffa0_0000_0043_5110n;
const bare = { sls: true, ibt: true };

test('byte for byte what a 6.12 kernel compiled for the same program (recorded, -cpu max)', () => {
  const bytes = generateCountingProgram({ layout: 'linux-6.12', at: 0x3f00_0658, counter: COUNTER, cpu: bare });
  assert.equal(
    toHex(bytes),
    'f30f1efa0f1f4400000f1f00554889e5f30f1efa48bf105143000000a0ffbe01000000f04801770031c0c9c3cc',
  );
});

test('a result other than 0, and a return thunk (recorded tail of "return 5", EPYC)', () => {
  const cpu = { ...bare, returnThunk: 0xf0_410b };
  const bytes = generateCountingProgram({
    layout: 'linux-6.12',
    at: 0x3f00_0654 - 20,
    counter: COUNTER,
    returns: 5,
    cpu,
  });
  assert.equal(toHex(bytes.subarray(-11)), 'b805000000c9e9983af0c1');
  const negative = generateCountingProgram({ layout: 'linux-6.12', at: 0, counter: COUNTER, returns: -22, cpu: bare });
  assert.equal(toHex(negative.subarray(-10)), '48c7c0eaffffffc9c3cc');
});

test('6.1 without IBT: no endbr, and two bytes where 6.12 has three', () => {
  const bytes = generateCountingProgram({
    layout: 'linux-6.1',
    at: 0,
    counter: COUNTER,
    cpu: { sls: true, ibt: false },
  });
  assert.equal(toHex(bytes.subarray(0, 11)), '0f1f44000066' + '90554889e5');
  assert.equal(toHex(bytes.subarray(11, 13)), '48bf');
});

test('another counter makes other code; a result beyond 32 bits is refused', () => {
  const one = generateCountingProgram({ layout: 'linux-6.12', at: 0, counter: COUNTER, cpu: bare });
  const two = generateCountingProgram({ layout: 'linux-6.12', at: 0, counter: COUNTER + 8n, cpu: bare });
  assert.notEqual(toHex(one), toHex(two));
  for (const returns of [0x8000_0000, 1.5, Number.NaN])
    assert.throws(
      () => generateCountingProgram({ layout: 'linux-6.12', at: 0, counter: 0n, returns, cpu: bare }),
      RangeError,
    );
});
