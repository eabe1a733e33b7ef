import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayable } from '../../../test/insn/replay.ts';
import { InvariantViolation, kernelAddress } from '../../base/index.ts';
import { decodeInsn, disassemble } from '../../insn/index.ts';
import { R9, R12, R13, RBP, RDI, type Register } from './registers.ts';
import { type X86Emitter, x86Emitter } from './x86-emitter.ts';

const FILE = 'src/jit/x86-emitter.test.ts';
const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const NAMES = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');

function text(emit: (code: X86Emitter) => void): string {
  const code = x86Emitter(0x1000);
  emit(code);
  return disassemble(code.finish(), 0x1000, BASE)
    .map((line) => line.text)
    .join('; ');
}

test('64-bit constants take the shortest form', () => {
  assert.equal(
    text((code) => code.movImm64(RDI, 0n)),
    'xor    %edi,%edi',
  );
  assert.equal(
    text((code) => code.movImm64(R9, 0n)),
    'xor    %r9d,%r9d',
  );
  assert.equal(
    text((code) => code.movImm64(RDI, 0xffff_ffffn)),
    'mov    $0xffffffff,%edi',
  );
  assert.equal(
    text((code) => code.movImm64(R9, 7n)),
    'mov    $0x7,%r9d',
  );
  assert.equal(
    text((code) => code.movImm64(RDI, 0xffff_ffff_8100_0000n)),
    'mov    $0xffffffff81000000,%rdi',
  );
  assert.equal(
    text((code) => code.movImm64(RDI, -1n)),
    'mov    $0xffffffffffffffff,%rdi',
  );
  assert.equal(
    text((code) => code.movImm64(R9, 0xffff_8880_0000_0000n)),
    'movabs $0xffff888000000000,%r9',
  );
});

test('moves, loads and stores between any registers say what was asked, with one byte of displacement where it fits', () => {
  const register = fc.integer({ min: 0, max: 15 }).map((value) => value as Register);
  const base = register.filter((value) => (value & 7) !== 4);
  fc.assert(
    fc.property(register, base, fc.integer({ min: -0x1000, max: 0x1000 }), (reg, memory, displacement) => {
      const sign = displacement < 0 ? '-' : '';
      const place = `${sign}0x${Math.abs(displacement).toString(16)}(%${NAMES[memory]})`;
      assert.equal(
        text((code) => code.load(reg, memory, displacement)),
        `mov    ${place},%${NAMES[reg]}`,
      );
      assert.equal(
        text((code) => code.store(memory, displacement, reg)),
        `mov    %${NAMES[reg]},${place}`,
      );
      assert.equal(
        text((code) => code.lea(reg, memory, displacement)),
        `lea    ${place},%${NAMES[reg]}`,
      );
      const moved = reg === memory ? '' : `mov    %${NAMES[memory]},%${NAMES[reg]}`;
      assert.equal(
        text((code) => code.movReg(reg, memory)),
        moved,
      );
      assert.equal(
        text((code) => code.push(reg)),
        `push   %${NAMES[reg]}`,
      );
      assert.equal(
        text((code) => code.pop(reg)),
        `pop    %${NAMES[reg]}`,
      );
      const code = x86Emitter(0);
      code.load(reg, memory, displacement);
      assert.equal(code.length, displacement >= -128 && displacement <= 127 ? 4 : 7);
    }),
    replayable(FILE, 300),
  );
});

test('branches are relative to where the code will live; what they do not reach is reported', () => {
  const code = x86Emitter(0x3f00_0000);
  code.nops(3);
  code.call(0x10_0000);
  code.jmp(0x10_0010);
  assert.equal(code.here, 0x3f00_0000 + 13);
  const bytes = code.finish();
  assert.equal(decodeInsn(bytes, 0x3f00_0003, 3)?.target, 0x10_0000);
  assert.equal(decodeInsn(bytes, 0x3f00_0008, 8)?.target, 0x10_0010);
  assert.deepEqual(code.outOfReach, []);
  code.call(0xffff_ffff);
  assert.deepEqual(code.outOfReach, [0xffff_ffff]);
});

test('alignment counts from the first byte; long code grows the buffer; patches stay inside', () => {
  const code = x86Emitter(8);
  code.raw(0x90);
  code.align(16);
  assert.equal(code.length, 16);
  code.align(16);
  assert.equal(code.length, 16);
  code.bytes(new Uint8Array(3000).fill(0xcc));
  assert.equal(code.finish().length, 3016);
  code.patch(0, [0xc3]);
  assert.equal(code.finish()[0], 0xc3);
  assert.throws(() => code.patch(3015, [1, 2]), InvariantViolation);
});

test('%rsp and %r12 as a base would need a SIB byte', () => {
  const code = x86Emitter(0);
  assert.throws(() => code.load(RDI, 4, 0), InvariantViolation);
  assert.throws(() => code.load(RDI, R12, 0), InvariantViolation);
  code.load(RDI, R13, 0);
  code.load(RDI, RBP, 0);
});
