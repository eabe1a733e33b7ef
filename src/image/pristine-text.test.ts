import assert from 'node:assert/strict';
import test from 'node:test';
import { pristineText } from './pristine-text.ts';

const bytes = Uint8Array.of(1, 2, 3, 4);
const text = pristineText([
  { name: '.init.text', start: 100, bytes: Uint8Array.of(9) },
  { name: '.text', start: 0, bytes },
]);

test('bytes are read by offset in any range and nowhere else', () => {
  assert.deepEqual([text.u8(3), text.u8(100)], [4, 9]);
  assert.deepEqual(text.bytes(1, 2), Uint8Array.of(2, 3));
  assert.deepEqual(
    [text.contains(0, 4), text.contains(0, 5), text.contains(4, 1), text.contains(100, 1), text.contains(-1, 1)],
    [true, false, false, true, false],
  );
  assert.throws(() => text.u8(4), /0x4 is not text/);
  assert.throws(() => text.bytes(3, 2), /is not text/);
  assert.throws(() => text.bytes(0, -1), /is not text/);
});

test('what leaves is a copy', () => {
  text.bytes(0, 4).fill(0);
  assert.equal(text.u8(0), 1);
});
