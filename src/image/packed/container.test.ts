import assert from 'node:assert/strict';
import test from 'node:test';
import { pack, unpack } from './container.ts';

const columns = {
  a: Uint8Array.of(1, 2, 3),
  b: Uint32Array.of(7, 0xffffffff),
  c: BigUint64Array.of(1n << 63n),
  empty: new Uint32Array(0),
};

test('columns and meta come back, as views', () => {
  const bytes = pack(3, { hello: 'wörld' }, columns);
  const packed = unpack(3, bytes);
  assert.ok(packed);
  assert.deepEqual(packed.meta, { hello: 'wörld' });
  assert.deepEqual(
    [packed.u8('a'), packed.u32('b'), packed.u64('c'), packed.u32('empty')],
    [columns.a, columns.b, columns.c, columns.empty],
  );
  assert.equal(packed.u32('b').buffer, bytes.buffer);
  assert.throws(() => packed.u8('b'), /no column b of Uint8Array/);
  assert.throws(() => packed.u8('d'), /no column d/);
});

test('any flipped bit, any cut and any other version is not read', () => {
  const bytes = pack(3, {}, columns);
  assert.equal(unpack(4, bytes), undefined);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x10;
    assert.equal(unpack(3, damaged), undefined, `byte ${at}`);
  }
  for (let length = 0; length < bytes.length; length += 7) assert.equal(unpack(3, bytes.slice(0, length)), undefined);
});
