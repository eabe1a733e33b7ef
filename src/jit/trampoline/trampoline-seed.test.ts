import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROGRAM, program, request } from '../../../test/jit/request.ts';
import { kernelAddress } from '../../base/index.ts';
import { disassemble } from '../../insn/index.ts';
import { type BpfTrampolineRequest, generateBpfTrampoline } from '../index.ts';

const BASE = kernelAddress(0xffff_ffff_8100_0000n);

function text(wanted: BpfTrampolineRequest): readonly string[] {
  const result = generateBpfTrampoline(wanted);
  assert.ok(result.ok);
  return disassemble(result.value.bytes, wanted.at, BASE).map((line) => line.text);
}

test("two arguments: the mail's ten instructions", () => {
  assert.deepEqual(text(request([program('fentry')], { layout: 'seed' })), [
    'push   %rbp',
    'mov    %rsp,%rbp',
    'push   %rdi',
    'push   %rsi',
    'lea    -0x10(%rbp),%rdi',
    'call   ffffffffc0100000',
    'pop    %rsi',
    'pop    %rdi',
    'leave',
    'ret',
  ]);
});

test('its context is in descending order: the last argument lies lowest, where ctx points', () => {
  const [, , first, , , last, lea] = text(request([program('fentry')], { layout: 'seed', argSizes: [8, 8, 8, 8] }));
  assert.deepEqual([first, last, lea], ['push   %rdi', 'push   %rcx', 'lea    -0x20(%rbp),%rdi']);
});

test('six arguments and none; two programs are called in turn', () => {
  const six = text(request([program('fentry')], { layout: 'seed', argSizes: [8, 8, 8, 8, 8, 8] }));
  assert.equal(six.length, 2 + 6 + 2 + 6 + 2);
  assert.deepEqual(six.slice(7, 9), ['push   %r9', 'lea    -0x30(%rbp),%rdi']);
  const none = text(
    request([program('fentry'), program('fentry', { entry: PROGRAM + 0x100 })], { layout: 'seed', argSizes: [] }),
  );
  assert.deepEqual(none.slice(2, 6), [
    'lea    0x0(%rbp),%rdi',
    'call   ffffffffc0100000',
    'lea    0x0(%rbp),%rdi',
    'call   ffffffffc0100100',
  ]);
});

test('it cannot carry fexit, fmod_ret, seven words or a far program', () => {
  const errno = (wanted: BpfTrampolineRequest): string => {
    const result = generateBpfTrampoline(wanted);
    return result.ok ? 'ok' : result.fault.errno;
  };
  assert.equal(errno(request([program('fexit')], { layout: 'seed' })), 'EOPNOTSUPP');
  assert.equal(errno(request([program('fmod_ret')], { layout: 'seed' })), 'EOPNOTSUPP');
  assert.equal(errno(request([program('fentry')], { layout: 'seed', argSizes: [16, 16, 16, 1] })), 'ENOTSUPP');
  assert.equal(errno(request([program('fentry', { entry: 0xf000_0000 })], { layout: 'seed' })), 'EINVAL');
});
