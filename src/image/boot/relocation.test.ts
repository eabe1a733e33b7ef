import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../base/index.ts';
import { applyRelocation } from './relocation.ts';

/** Moves a replacement from 0x1000 to `at`. */
function moved(hex: string, at: number, length = hex.length / 2): string {
  const bytes = fromHex(hex) as Uint8Array;
  applyRelocation(bytes, at, 0x1000, length);
  return toHex(bytes);
}

test('a call keeps its destination', () => assert.equal(moved('e8fb0f0000', 0x400), 'e8fb1b0000'));
test('a call behind another instruction, too', () => assert.equal(moved('90e8fa0f0000', 0x400), '90e8fa1b0000'));
test('a near jump becomes short and is followed by int3', () => assert.equal(moved('e90bf4ffff', 0x400), 'eb0ecccccc'));
test('a far jump stays long', () => assert.equal(moved('e9fb0f0000', 0x400), 'e9fb1b0000'));
test('a long jcc keeps its destination', () => assert.equal(moved('0f84fa0f0000', 0x400), '0f84fa1b0000'));
test('a jump inside of the replacement does not move', () => assert.equal(moved('7400c3', 0x400), '7400c3'));
test('a %rip operand is adjusted', () => assert.equal(moved('488d3df90f0000', 0x400), '488d3df91b0000'));
test('a %rip operand inside of the replacement is not', () =>
  assert.equal(moved('488d05000000009090', 0x400), '488d05000000009090'));
test('an immediate behind the displacement is left alone', () =>
  assert.equal(moved('65 48 c1 3d f7 0f 00 00 05'.replaceAll(' ', ''), 0x400), '6548c13df71b000005'));
