import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayable } from '../../test/insn/replay.ts';
import { kernelAddress, toHex } from '../base/index.ts';
import {
  ASM_NOP_MAX,
  callRel32,
  decodeInsn,
  disassemble,
  ENDBR_POISON,
  ENDBR64,
  fillNops,
  insnLength,
  isEndbr,
  isNop,
  jccRel32,
  jmpRel8,
  jmpRel32,
  nop,
  relTarget,
  X86_NOPS,
} from './index.ts';

const FILE = 'src/insn/encode.test.ts';
const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const near = fc.integer({ min: 0, max: 0x3fff_ffff });

test('encode then decode: every near branch goes where it was told to', () => {
  fc.assert(
    fc.property(near, near, fc.integer({ min: 0, max: 15 }), (at, to, condition) => {
      for (const [bytes, flow] of [
        [callRel32(at, to), 'call'],
        [jmpRel32(at, to), 'jmp'],
        [jccRel32(condition, at, to), 'jcc'],
      ] as const) {
        const insn = decodeInsn(bytes, at);
        assert.equal(insn?.flow, flow);
        assert.equal(insn?.length, bytes.length);
        assert.equal(insn?.target, to);
        assert.equal(relTarget(bytes, at), to);
        assert.equal(disassemble(bytes, at, BASE)[0]?.target, to);
      }
    }),
    replayable(FILE, 200),
  );
});

test('short jumps reach -128 to 127 from the next instruction', () => {
  for (const distance of [-128, -1, 0, 127]) {
    const bytes = jmpRel8(0x1000, 0x1002 + distance);
    assert.equal(relTarget(bytes, 0x1000), 0x1002 + distance);
  }
  assert.throws(() => jmpRel8(0x1000, 0x1002 + 128), RangeError);
  assert.throws(() => jmpRel8(0x1000, 0x1002 - 129), RangeError);
});

test('a rel32 that does not reach is refused', () => {
  assert.equal(toHex(callRel32(0, 0x8000_0004)), 'e8ffffff7f');
  assert.throws(() => callRel32(0, 0x8000_0005), RangeError);
  assert.throws(() => jmpRel32(0x9000_0000, 0), RangeError);
  assert.equal(relTarget(Uint8Array.of(0x90), 0), undefined);
});

test('canonical nops are one instruction each of their own length, and only they are canonical', () => {
  for (let length = 1; length <= ASM_NOP_MAX; length += 1) {
    const bytes = nop(length);
    assert.equal(insnLength(bytes), length);
    assert.match(disassemble(bytes, 0, BASE)[0]?.text ?? '', /nop|xchg {3}%ax,%ax/);
    assert.equal(isNop(bytes, length), true);
    assert.equal(isNop(Uint8Array.of(0xcc, ...bytes.subarray(1)), length), false);
  }
  assert.equal(X86_NOPS.length, ASM_NOP_MAX + 1);
  assert.throws(() => nop(0), RangeError);
  assert.throws(() => nop(12), RangeError);
});

test('filling a gap takes the longest nops first and covers it', () => {
  assert.equal(toHex(fillNops(13)), '0f1f8400000000000f1f440000');
  assert.equal(toHex(fillNops(13, 11)), '66662e0f1f84000000000066' + '90');
  assert.equal(fillNops(0).length, 0);
});

test('endbr: real, 32-bit and sealed ones count, others do not (is_endbr)', () => {
  assert.equal(isEndbr(ENDBR64), true);
  assert.equal(isEndbr(ENDBR_POISON), true);
  assert.equal(isEndbr(Uint8Array.of(0xf3, 0x0f, 0x1e, 0xfb)), true);
  assert.equal(isEndbr(Uint8Array.of(0xf3, 0x0f, 0x1e, 0xc8)), false);
  assert.equal(isEndbr(Uint8Array.of(0x0f, 0x1f, 0x40, 0x00)), false);
  assert.equal(isEndbr(Uint8Array.of(0x90, ...ENDBR64), 1), true);
  assert.equal(isEndbr(ENDBR64.subarray(0, 3)), false);
});
