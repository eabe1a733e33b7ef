import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callRel32, jccRel32, jmpRel8, jmpRel32, nop, pokeLoc } from './index.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const AT = 0x1000;

function accepted(bytes: Uint8Array, emulate?: Uint8Array): { opcode: number; disp: number; len: number } {
  const result = pokeLoc(bytes, AT, emulate);
  assert.ok(result.ok, result.ok ? '' : result.reason);
  return { opcode: result.value.opcode, disp: result.value.disp, len: result.value.len };
}

function reason(text: string, emulate?: string): string {
  const result = pokeLoc(hex(text), AT, emulate === undefined ? undefined : hex(emulate));
  assert.equal(result.ok, false, text);
  return result.ok ? '' : result.reason;
}

test('what may stand at a live site, and what its int3 handler plays', () => {
  assert.deepEqual(accepted(hex('cc')), { opcode: 0xcc, disp: 0, len: 1 });
  assert.deepEqual(accepted(hex('c3')), { opcode: 0xc3, disp: 0, len: 1 });
  assert.deepEqual(accepted(callRel32(AT, 0x2000)), { opcode: 0xe8, disp: 0xffb, len: 5 });
  assert.deepEqual(accepted(jmpRel32(AT, 0x800)), { opcode: 0xe9, disp: -0x805, len: 5 });
  assert.deepEqual(accepted(jmpRel8(AT, 0x1010)), { opcode: 0xeb, disp: 14, len: 2 });
  assert.deepEqual(accepted(hex('74 10')), { opcode: 0x74, disp: 16, len: 2 });
});

test('a canonical nop of two or five bytes is played as a jump to the next instruction', () => {
  assert.deepEqual(accepted(nop(2)), { opcode: 0xeb, disp: 0, len: 2 });
  assert.deepEqual(accepted(nop(5)), { opcode: 0xe9, disp: 0, len: 5 });
});

test('a long jcc keeps its condition as the short one, with length 6', () => {
  assert.deepEqual(accepted(jccRel32(0xf, AT, 0x2000)), { opcode: 0x7f, disp: 0xffa, len: 6 });
});

test('ret and jmp may be shorter than the slot if int3 follows', () => {
  assert.deepEqual(accepted(hex('c3 cccccccc')), { opcode: 0xc3, disp: 0, len: 5 });
  assert.deepEqual(accepted(hex('eb10 cccccc')), { opcode: 0xeb, disp: 16, len: 5 });
  assert.match(reason('c3 cc90cccc'), /byte 2 .*int3 padding/);
});

test('static_call: the site gets an xor of five bytes and the handler plays a call', () => {
  assert.deepEqual(accepted(hex('2e2e2e31c0'), callRel32(AT, 0x2000)), { opcode: 0xe8, disp: 0xffb, len: 5 });
  assert.match(reason('2e2e2e31c0'), /nop/);
});

test('everything else is BUG in Linux and a reason here', () => {
  assert.match(reason('90'), /nop/);
  assert.match(reason('0f1f00'), /nop/);
  assert.match(reason('0f1f4000'), /nop/);
  assert.match(reason('660f1f440000'), /nop/);
  assert.match(reason('89f6'), /nop/);
  assert.match(reason('3e8d742600'), /nop/);
  assert.match(reason('e800000000 90'), /5 bytes in a slot of 6/);
  assert.match(reason('e90000000000', undefined), /padding/);
  assert.match(reason(''), /0 bytes/);
  assert.match(reason('c3cccccccccccc'), /7 bytes/);
  assert.match(reason('e80000'), /decode/);
});
