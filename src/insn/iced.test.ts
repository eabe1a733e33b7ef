import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayable } from '../../test/insn/replay.ts';
import { kernelAddress } from '../base/index.ts';
import { icedLengths } from './iced.ts';
import { disassemble, insnLength } from './index.ts';

const FILE = 'src/insn/iced.test.ts';
const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

test('AT&T syntax, as objdump prints it', () => {
  const bytes = hex('55 4889e5 4883ec30 48c745f800000000 488b152a000000 64488b042528000000 c9 c3');
  assert.deepEqual(
    disassemble(bytes, 0, BASE).map((line) => line.text),
    [
      'push   %rbp',
      'mov    %rsp,%rbp',
      'sub    $0x30,%rsp',
      'movq   $0x0,-0x8(%rbp)',
      'mov    0x2a(%rip),%rdx        # ffffffff81000041',
      'mov    %fs:0x28,%rax',
      'leave',
      'ret',
    ],
  );
});

test('symbols name branches and %rip operands', () => {
  const symbolize = (address: bigint): string => `f+0x${(address - BASE).toString(16)}`;
  const [call, load] = disassemble(hex('e800010000 488d3d00000000'), 0x10, BASE, symbolize);
  assert.equal(call?.text, 'call   ffffffff81000115 <f+0x115>');
  assert.equal(load?.text, 'lea    0x0(%rip),%rdi        # ffffffff8100001c <f+0x1c>');
});

test('a byte that begins no instruction is (bad) and one byte long', () => {
  assert.deepEqual(
    disassemble(hex('06 90 e8'), 0, BASE).map(({ text, length }) => [text, length]),
    [
      ['(bad)', 1],
      ['nop', 1],
      ['(bad)', 1],
    ],
  );
});

test('a branch below _text has an address and no offset', () => {
  const [line] = disassemble(hex('e9 00ffffff'), 0, BASE);
  assert.equal(line?.text, 'jmp    ffffffff80ffff05');
  assert.equal(line?.target, undefined);
});

test('disassembly covers every byte exactly once, in order', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), (bytes) => {
      let at = 0x40;
      for (const line of disassemble(bytes, 0x40, BASE)) {
        assert.equal(line.offset, at);
        assert.equal(line.bytes.length, line.length);
        assert.deepEqual([...line.bytes], [...bytes.subarray(at - 0x40, at - 0x40 + line.length)]);
        at += line.length;
      }
      assert.equal(at, 0x40 + bytes.length);
    }),
    replayable(FILE, 300),
  );
});

/** Where the kernel's decoder and a processor disagree on purpose: see insnLength. */
function isKnownDifference(bytes: Uint8Array): boolean {
  const prefixes = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];
  let at = 0;
  while (prefixes.includes(bytes[at] ?? 0)) at += 1;
  const isRex = (bytes[at] ?? 0) >> 4 === 4;
  const next = bytes[at + 1] ?? 0;
  if (isRex && (prefixes.includes(next) || next >> 4 === 4)) return true;
  if (isRex) at += 1;
  // mov to and from control and debug registers ignores ModRM's mod; UD0 has a ModRM; XOP; extrq and insertq; the emulation prefixes.
  const second = bytes[at + 1] ?? 0;
  if (bytes[at] === 0x8f) return true;
  return (
    bytes[at] === 0x0f && ((second >= 0x20 && second <= 0x23) || second === 0xff || second === 0x78 || second === 0x0b)
  );
}

test('lengths: iced agrees on whatever it takes for an instruction', () => {
  const opcode = fc.oneof(
    fc.uint8Array({ minLength: 15, maxLength: 15 }),
    fc
      .tuple(
        fc.constantFrom([0x0f], [0x66, 0x0f], [0x48, 0x0f], [0xf3, 0x0f, 0x38], [0xc5], [0xc4], [0x62], [0x67]),
        fc.uint8Array({ minLength: 15, maxLength: 15 }),
      )
      .map(([lead, rest]) => Uint8Array.of(...lead, ...rest)),
  );
  let compared = 0;
  fc.assert(
    fc.property(opcode, (bytes) => {
      const [iced = 0] = icedLengths(bytes, [0]);
      if (iced === 0 || isKnownDifference(bytes)) return;
      compared += 1;
      assert.equal(insnLength(bytes), iced, Buffer.from(bytes).toString('hex'));
    }),
    replayable(FILE, 2000),
  );
  assert.ok(compared > 500);
});
