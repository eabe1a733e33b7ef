import assert from 'node:assert/strict';
import test from 'node:test';
import { btfWriter } from '../../../test/image/btf-writer.ts';
import { byteView } from '../byte-view.ts';
import type { BtfFunctions } from '../kernel-image.ts';
import { kernelBtf, readBtf } from './btf.ts';
import { BTF_KIND } from './btf-format.ts';
import { btfFunctions, extendsBtf } from './btf-functions.ts';
import { indexBtf } from './btf-index.ts';

const open = (bytes: Uint8Array): BtfFunctions => btfFunctions(bytes, indexBtf(byteView(bytes, '.BTF')));

test('prototypes are C text with kinds and sizes', () => {
  const btf = btfWriter();
  const int = btf.int('int', 4, 1);
  const ulong = btf.int('long unsigned int', 8);
  const bool = btf.int('_Bool', 1, 4);
  const char = btf.int('char', 1, 1);
  const sock = btf.struct('sock', 760);
  const pair = btf.struct('pair', 16);
  const text = btf.pointer(btf.constant(char));
  const callback = btf.pointer(
    btf.proto(bool, [
      ['', btf.pointer(0)],
      ['', ulong],
    ]),
  );
  btf.func(
    'tcp_set_state',
    btf.proto(0, [
      ['sk', btf.pointer(sock)],
      ['state', int],
    ]),
  );
  btf.func(
    'each',
    btf.proto(btf.typedef('u64', ulong), [
      ['cb', callback],
      ['by_value', pair],
      ['buf', btf.pointer(btf.array(char, int, 16))],
    ]),
  );
  btf.func(
    'print',
    btf.proto(int, [
      ['fmt', text],
      ['', 0],
    ]),
  );
  btf.func('nothing', btf.proto(btf.constant(btf.pointer(sock)), []));
  const functions = open(btf.done());
  assert.equal(functions.count, 4);
  assert.equal(functions.prototype('tcp_set_state')?.text, 'void tcp_set_state(struct sock *sk, int state)');
  assert.equal(functions.prototype('print')?.text, 'int print(const char *fmt, ...)');
  assert.equal(functions.prototype('print')?.isVariadic, true);
  assert.equal(functions.prototype('print')?.params.length, 1);
  assert.equal(functions.prototype('nothing')?.text, 'struct sock *const nothing(void)');
  const each = functions.prototype('each');
  assert.equal(each?.text, 'u64 each(bool (*cb)(void *, unsigned long), struct pair by_value, char (*buf)[16])');
  assert.deepEqual(
    each?.params.map((p) => [p.name, p.type, p.kind, p.size]),
    [
      ['cb', 'bool (*)(void *, unsigned long)', 'pointer', 8],
      ['by_value', 'struct pair', 'struct', 16],
      ['buf', 'char (*)[16]', 'pointer', 8],
    ],
  );
  assert.deepEqual(each?.result, { type: 'u64', kind: 'int', size: 8 });
  assert.equal(functions.prototype('unknown'), undefined);
  assert.equal(functions.id('unknown'), undefined);
});

test('types that refer to themselves end', () => {
  const btf = btfWriter();
  btf.typedef('a', 2);
  btf.typedef('b', 1);
  btf.pointer(3);
  btf.func('loop', btf.proto(1, [['p', 3]]));
  const prototype = open(btf.done()).prototype('loop');
  assert.equal(prototype?.result.kind, 'void');
  assert.ok((prototype?.text.length ?? 0) < 1000);
});

test('parameters of parameters do not multiply without end', () => {
  const btf = btfWriter();
  // Type 2 is a prototype of 60 parameters, each a pointer (type 1) to that prototype.
  btf.pointer(2);
  btf.proto(
    1,
    Array.from({ length: 60 }, (_, i) => [`p${i}`, 1] as const),
  );
  btf.func('bomb', 2);
  const text = open(btf.done()).prototype('bomb')?.text ?? '';
  assert.ok(text.length < 100_000, `${text.length} characters`);
});

test('a damaged section names the structure and the offset', () => {
  const btf = btfWriter();
  btf.func('f', btf.proto(0, []));
  const whole = btf.done();
  const damaged = (at: number, value: number): Uint8Array => {
    const bytes = whole.slice();
    bytes[at] = value;
    return bytes;
  };
  assert.throws(() => open(damaged(0, 0)), /\.BTF header at offset 0x0: magic/);
  assert.throws(() => open(damaged(2, 9)), /\.BTF header at offset 0x2: version 9/);
  assert.throws(() => open(damaged(12, 0xff)), /\.BTF header at offset 0x8/);
  assert.throws(() => open(damaged(20, 0xff)), /\.BTF header at offset 0x10/);
  assert.throws(() => open(damaged(24 + 7, 0x1f)), /\.BTF types at offset 0x1c: type 1 is of kind 31/);
  for (let length = 0; length < whole.length; length++) assert.throws(() => open(whole.slice(0, length)), /\.BTF/);
});

test('a whole .BTF is read for what goes beyond prototypes, or refused with the place', () => {
  const writer = btfWriter();
  const int = writer.int('int', 4, 1);
  writer.func('f', writer.proto(int, [['a', int]]));
  const bytes = writer.done();
  const read = readBtf(bytes);
  assert.ok(read.ok);
  assert.equal(read.value.count, 4);
  assert.equal(read.value.types.kind(3), BTF_KIND.FUNC);
  assert.equal(read.value.types.name(3), 'f');
  const cut = readBtf(bytes.subarray(0, bytes.length - 1));
  assert.equal(cut.ok, false);
  assert.match(cut.ok ? '' : cut.fault.detail, /\.BTF header at offset 0x10/);
});

test('an image gives its types; what goes beyond it keeps them', () => {
  const writer = btfWriter();
  writer.int('int', 4, 1);
  const functions = open(writer.done());
  const types = kernelBtf({ btf: functions });
  assert.equal(types?.count, 2);
  assert.equal(kernelBtf({ btf: extendsBtf({ ...functions }, functions) }), types);
  assert.equal(kernelBtf({ btf: undefined }), undefined);
});
