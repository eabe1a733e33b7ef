import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayable } from '../../test/insn/replay.ts';
import { toHex } from '../base/index.ts';
import {
  decodeInsn,
  KPROBE_SLOT_SIZE,
  type KprobeEmulation,
  type KprobeInsnOptions,
  type PreparedKprobeInsn,
  prepareKprobeInsn,
} from './index.ts';

const FILE = 'src/insn/kprobe-insn.test.ts';
const FROM = 0x1000;
const SLOT = 0x3f00_0000;
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

const prepare = (text: string, options: KprobeInsnOptions = {}, slotAt = SLOT): PreparedKprobeInsn =>
  prepareKprobeInsn(hex(text), FROM, slotAt, options);

function how(text: string): KprobeEmulation {
  const prepared = prepare(text);
  assert.equal(prepared.kind, 'emulate', text);
  return prepared.kind === 'emulate' ? prepared.how : { op: 'ret' };
}

function refusedWith(text: string, options: KprobeInsnOptions = {}, slotAt = SLOT): readonly string[] {
  const prepared = prepare(text, options, slotAt);
  assert.equal(prepared.kind, 'refused', text);
  return prepared.kind === 'refused' ? [prepared.fault.errno, prepared.fault.rule] : [];
}

test('an ordinary instruction is single-stepped: its copy, then int3', () => {
  const prepared = prepare('48 89 e5');
  assert.equal(prepared.kind, 'single-step');
  assert.equal(prepared.kind === 'single-step' && toHex(prepared.slot), '4889e5cc');
});

test('a %rip-relative operand still means the same after the copy', () => {
  // mov, lea, cmpb with an immediate behind the displacement, sar %gs:.
  for (const text of ['48 8b 15 1d8fdd01', '48 8d 3d f0ffffff', '80 3d 00100000 07', '65 48 c1 3d 10000000 05']) {
    const prepared = prepare(text);
    assert.equal(prepared.kind, 'single-step');
    if (prepared.kind !== 'single-step') return;
    const original = decodeInsn(hex(text), FROM);
    const copy = decodeInsn(prepared.slot, SLOT);
    assert.ok(original?.ripRelative !== undefined);
    assert.equal(copy?.ripRelative?.target, original.ripRelative.target, text);
    assert.equal(prepared.slot[original.length], 0xcc);
  }
});

test('relocation keeps the target wherever instruction and slot are', () => {
  const place = fc.integer({ min: 0, max: 0x3fff_ffff });
  fc.assert(
    fc.property(place, place, fc.integer({ min: -0x3000_0000, max: 0x3000_0000 }), (from, slotAt, displacement) => {
      const bytes = hex('48 8b 15 00000000');
      new DataView(bytes.buffer).setInt32(3, displacement, true);
      const prepared = prepareKprobeInsn(bytes, from, slotAt);
      assert.equal(prepared.kind, 'single-step');
      if (prepared.kind !== 'single-step') return;
      assert.equal(decodeInsn(prepared.slot, slotAt)?.ripRelative?.target, from + 7 + displacement);
    }),
    replayable(FILE, 300),
  );
});

test('EINVAL: displacement out of reach, foreign int3, MOV SS, POP SS, emulation prefix, no instruction', () => {
  assert.deepEqual(refusedWith('48 8b 15 0000ff7f', {}, -0x100_0000), ['EINVAL', 'kprobe.copy.reach']);
  assert.deepEqual(refusedWith('cc'), ['EINVAL', 'kprobe.copy.int3']);
  assert.deepEqual(refusedWith('8e d0'), ['EINVAL', 'kprobe.copy.masks-exceptions']);
  assert.deepEqual(refusedWith('8e 10'), ['EINVAL', 'kprobe.copy.masks-exceptions']);
  assert.deepEqual(refusedWith('17'), ['EINVAL', 'kprobe.copy.masks-exceptions']);
  assert.deepEqual(refusedWith('0f0b78656e 0fa2'), ['EINVAL', 'kprobe.copy.forced-emulation']);
  assert.deepEqual(refusedWith('c4 e8 78'), ['EINVAL', 'kprobe.copy.undecodable']);
  assert.equal(prepare('8e d8').kind, 'single-step');
});

/** Encoding and what the int3 handler does for it. */
const EMULATED: readonly (readonly [string, KprobeEmulation])[] = [
  ['fa', { op: 'ifmodifier', opcode: 0xfa }],
  ['fb', { op: 'ifmodifier', opcode: 0xfb }],
  ['9c', { op: 'ifmodifier', opcode: 0x9c }],
  ['9d', { op: 'ifmodifier', opcode: 0x9d }],
  ['c3', { op: 'ret' }],
  ['c2 0800', { op: 'ret' }],
  ['cb', { op: 'ret' }],
  ['f3 c3', { op: 'ret' }],
  ['e8 10000000', { op: 'call', rel32: 16 }],
  ['e9 f0ffffff', { op: 'jmp', rel32: -16 }],
  ['eb fe', { op: 'jmp', rel32: -2 }],
  ['75 80', { op: 'jcc', condition: 5, rel32: -128 }],
  ['0f 8c 00010000', { op: 'jcc', condition: 12, rel32: 256 }],
  ['e0 10', { op: 'loop', loop: 0, addressBits: 64, rel32: 16 }],
  ['e1 10', { op: 'loop', loop: 1, addressBits: 64, rel32: 16 }],
  ['e2 10', { op: 'loop', loop: 2, addressBits: 64, rel32: 16 }],
  ['67 e3 f0', { op: 'loop', loop: 3, addressBits: 32, rel32: -16 }],
  ['ff d0', { op: 'call-indirect', register: 0 }],
  ['41 ff d3', { op: 'call-indirect', register: 11 }],
  ['ff e2', { op: 'jmp-indirect', register: 2 }],
  ['3e 41 ff e5', { op: 'jmp-indirect', register: 13 }],
];

test('control flow and interrupt flags are emulated', () => {
  for (const [text, expected] of EMULATED) assert.deepEqual(how(text), expected, text);
});

test('EOPNOTSUPP: far branches, iret, VM instructions, indirect branches through memory or with a short address', () => {
  for (const text of [
    '9a 000000000000',
    'ea 000000000000',
    '48 cf',
    '0f 01 c1',
    '0f 01 c4',
    'ff 18',
    'ff 28',
    'ff 10',
    'ff 25 00000000',
    '67 ff d0',
  ])
    assert.deepEqual(refusedWith(text), ['EOPNOTSUPP', 'kprobe.emulate.unsupported'], text);
});

test('their neighbours are single-stepped: sgdt, push through memory, inc', () => {
  for (const text of ['0f 01 00', '0f 01 c8', 'ff 30', 'ff c0', 'ff 00'])
    assert.equal(prepare(text).kind, 'single-step', text);
});

test('a VEX instruction is judged by its opcode byte alone, as Linux does', () => {
  // vzeroupper: c5 f8 77, and 77 is ja.
  assert.deepEqual(how('c5 f8 77'), { op: 'jcc', condition: 7, rel32: 0 });
});

test('boosting: a jump back instead of int3, if the kernel is not preemptible and nothing speaks against it', () => {
  const boosted = prepare('48 89 e5', { preemption: false });
  assert.equal(boosted.kind === 'single-step' && boosted.boost, true);
  if (boosted.kind !== 'single-step') return;
  assert.equal(decodeInsn(boosted.slot, SLOT + 3, 3)?.target, FROM + 3);
  const steps = (options: KprobeInsnOptions, text = '48 89 e5'): boolean => {
    const prepared = prepare(text, { preemption: false, ...options });
    return prepared.kind !== 'refused' && !prepared.boost;
  };
  assert.equal(steps({ preemption: true }), true);
  assert.equal(steps({ hasPostHandler: true }), true);
  assert.equal(steps({ hasExceptionEntry: true }), true);
  assert.equal(steps({ rules: '6.1' }, '48 c1 e0 03'), true);
  // Eleven bytes leave no room for the jump.
  assert.equal(steps({}, '48 c7 84 24 88000000 00000000'), true);
});

test('ENOSPC: fifteen bytes leave no room for the int3', () => {
  assert.deepEqual(refusedWith(`${'66'.repeat(14)}90`), ['ENOSPC', 'kprobe.slot.space']);
  assert.equal(prepare(`${'66'.repeat(13)}90`).kind, 'single-step');
  assert.equal(KPROBE_SLOT_SIZE, 15);
});
