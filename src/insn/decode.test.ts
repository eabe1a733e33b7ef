import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelAddress } from '../base/index.ts';
import { decodeInsn, disassemble, type Flow, type Insn, insnLength } from './index.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const BASE = kernelAddress(0xffff_ffff_8100_0000n);

function decoded(text: string, offset = 0x1000): Insn {
  const insn = decodeInsn(hex(text), offset);
  assert.ok(insn !== undefined, text);
  return insn;
}

/** Encoding, what iced says it is, flow, and destination from 0x1000. */
const BRANCHES: readonly (readonly [string, string, Flow, number?])[] = [
  ['e8 00010000', 'call   ffffffff81001105', 'call', 0x1105],
  ['e9 fbffffff', 'jmp    ffffffff81001000', 'jmp', 0x1000],
  ['66 e9 00010000', 'jmp    ffffffff81001106', 'jmp', 0x1106],
  ['eb fe', 'jmp    ffffffff81001000', 'jmp', 0x1000],
  ['74 05', 'je     ffffffff81001007', 'jcc', 0x1007],
  ['0f 8f 00000000', 'jg     ffffffff81001006', 'jcc', 0x1006],
  ['e2 10', 'loop   ffffffff81001012', 'loop', 0x1012],
  ['67 e3 10', 'jecxz  ffffffff81001013', 'loop', 0x1013],
  ['c3', 'ret', 'ret'],
  ['c2 0800', 'ret    $0x8', 'ret'],
  ['cb', 'lretl', 'ret-far'],
  ['ff e0', 'jmp    *%rax', 'jmp-indirect'],
  ['41 ff d3', 'call   *%r11', 'call-indirect'],
  ['ff 24 25 00000000', 'jmp    *0x0', 'jmp-indirect'],
  ['ff 6c 24 08', 'ljmpl  *0x8(%rsp)', 'far'],
  ['48 cf', 'iretq', 'iret'],
  ['cc', 'int3', 'int3'],
  ['cd 80', 'int    $0x80', 'int'],
  ['0f 0b', 'ud2', 'ud'],
  ['0f b9 cc', 'ud1    %esp,%ecx', 'ud'],
  ['0f 05', 'syscall', 'syscall'],
  ['f4', 'hlt', 'hlt'],
  ['ff 30', 'push   (%rax)', 'next'],
  ['90', 'nop', 'next'],
];

test('branches: length, flow and destination, each checked against the disassembler', () => {
  for (const [bytes, text, flow, target] of BRANCHES) {
    const insn = decoded(bytes);
    const [line] = disassemble(hex(bytes), 0x1000, BASE);
    assert.equal(line?.text, text);
    assert.equal(line?.length, insn.length, bytes);
    assert.equal(insn.flow, flow, bytes);
    assert.equal(insn.target, target, bytes);
    if (flow === 'jmp' || flow === 'jcc' || flow === 'call') assert.equal(line?.target, target, bytes);
  }
});

test('fields: prefixes, REX, ModRM, SIB, displacement and immediate stand where they are said to', () => {
  // movabs, mov %gs:disp32, lea disp8(%rsp), test, enter, moffs, imm16 with operand size.
  assert.deepEqual(decoded('48 bf 8877665544332211').immediate, {
    offset: 2,
    size: 8,
    value: Number(0x1122334455667788n),
  });
  assert.deepEqual(decoded('65 48 8b 04 25 40ad0200').displacement, { offset: 5, size: 4, value: 0x2ad40 });
  const lea = decoded('48 8d 4c 24 f8');
  assert.deepEqual([lea.rex, lea.opcode, lea.modrm, lea.sib, lea.displacement.value], [0x48, 0x8d, 0x4c, 0x24, -8]);
  assert.deepEqual(decoded('f6 05 01000000 02').immediate, { offset: 6, size: 1, value: 2 });
  assert.equal(decoded('f6 15 01000000').immediate.size, 0);
  assert.equal(decoded('c8 1000 01').length, 4);
  assert.equal(decoded('a1 8877665544332211').length, 9);
  assert.equal(decoded('67 a1 88776655').length, 6);
  assert.equal(decoded('66 81 c0 3412').length, 5);
  assert.equal(decoded('66 0f 3a 0f c1 08').opcode3, 0x0f);
  assert.equal(decoded('f3 0f 1e fa').isEndbr, true);
  assert.equal(decoded('66 0f 1f 00').isEndbr, true);
  assert.equal(decoded('c5 f8 77').vex, 2);
  assert.equal(decoded('c4 e2 7d 18 04 24').vex, 3);
  assert.equal(decoded('62 f1 7c 48 10 04 24').vex, 4);
});

test('a %rip-relative operand names its target and where the displacement stands', () => {
  const insn = decoded('48 8b 15 10000000', 0x2000);
  assert.deepEqual(insn.ripRelative, { dispOffset: 3, target: 0x2017 });
  assert.equal(decoded('80 3d 10000000 07', 0x2000).ripRelative?.target, 0x2017);
  assert.equal(decoded('48 8b 55 10').ripRelative, undefined);
});

test('what cannot be decoded is undefined and 0: cut off, unknown VEX map, REX2, sixteen bytes', () => {
  for (const bytes of [
    '',
    '48',
    'e8 000000',
    '0f',
    '0f 38',
    'c4',
    'c4 e8 78 10 c0',
    'd5 00 90',
    `${'66'.repeat(15)}90`,
  ]) {
    assert.equal(decodeInsn(hex(bytes), 0), undefined, bytes);
    assert.equal(insnLength(hex(bytes), 0), 0, bytes);
  }
  assert.equal(insnLength(hex(`${'66'.repeat(14)}90`)), 15);
});

test("the kernel's decoder measures what 64-bit mode refuses, and the result says so", () => {
  for (const [bytes, length] of [
    ['06', 1],
    ['60', 1],
    ['9a 000000000000', 7],
    ['82 c0 01', 3],
    ['ce', 1],
  ] as const) {
    const insn = decoded(bytes);
    assert.equal(insn.length, length, bytes);
    assert.equal(insn.isInvalid64, true, bytes);
  }
  assert.equal(decoded('90').isInvalid64, false);
});

test('the forced-emulation prefixes of Xen and KVM belong to the instruction', () => {
  assert.equal(decoded('0f0b78656e 0fa2').length, 7);
  assert.equal(decoded('0f0b6b766d 0fa2').isForcedEmulation, true);
  assert.equal(decoded('0f0b 6b7600').length, 2);
});
