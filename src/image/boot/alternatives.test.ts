import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boot, pointer, s32, type TinyKernel, V6_1 } from '../../../test/boot/tiny-kernel.ts';

const ALWAYS = 3 * 32 + 21;
const NEVER = 5 * 32;
const NOT = 1;
const DIRECT_CALL = 2;

const u16 = (value: number): string =>
  `${(value & 0xff).toString(16).padStart(2, '0')}${(value >> 8).toString(16).padStart(2, '0')}`;
const u8 = (value: number): string => value.toString(16).padStart(2, '0');

interface Entry {
  readonly instr: number;
  readonly replacement: number;
  readonly cpuid: number;
  readonly flags?: number;
  readonly lengths: readonly [number, number];
}

const TABLE = 0x300;
const entries14 = (list: readonly Entry[]): string =>
  list
    .map((e, i) => {
      const at = TABLE + 14 * i;
      return (
        s32(e.instr - at) +
        s32(e.replacement - at - 4) +
        u16(e.cpuid) +
        u16(e.flags ?? 0) +
        u8(e.lengths[0]) +
        u8(e.lengths[1])
      );
    })
    .join('');

const kernel = (
  text: string,
  replacement: string,
  list: readonly Entry[],
  more: Partial<TinyKernel['sections']> = {},
  symbols = {},
): TinyKernel => ({
  sections: {
    '.text': { at: 0, hex: text, isCode: true },
    '.altinstr_replacement': { at: 0x200, hex: replacement, isCode: true },
    '.altinstructions': { at: TABLE, hex: entries14(list) },
    ...(more as TinyKernel['sections']),
  },
  symbols: { _text: 0, ...symbols },
});

test('a feature that is there replaces, and what is left over becomes one nop', () => {
  const { code } = boot(
    kernel('c39090909090c3', '0f01ca', [{ instr: 1, replacement: 0x200, cpuid: ALWAYS, lengths: [5, 3] }]),
  );
  assert.equal(code['.text'], 'c30f01ca6690c3');
});

test('a feature that is not there only optimizes the padding', () => {
  const { code } = boot(
    kernel('c39090909090c3', '0f01ca', [{ instr: 1, replacement: 0x200, cpuid: NEVER, lengths: [5, 3] }]),
  );
  assert.equal(code['.text'], 'c30f1f440000c3');
});

test('ALT_FLAG_NOT turns the question round', () => {
  const list = [{ instr: 1, replacement: 0x200, cpuid: NEVER, flags: NOT, lengths: [5, 3] as const }];
  assert.equal(boot(kernel('c39090909090c3', '0f01ca', list)).code['.text'], 'c30f01ca6690c3');
});

test('of several alternatives of one place the last that applies wins, padded to the longest', () => {
  const list = [
    { instr: 0, replacement: 0x200, cpuid: ALWAYS, lengths: [3, 3] as const },
    { instr: 0, replacement: 0x203, cpuid: ALWAYS, lengths: [5, 2] as const },
    { instr: 0, replacement: 0x205, cpuid: NEVER, lengths: [5, 1] as const },
  ];
  assert.equal(
    boot(kernel('9090909090', '0f01cac390c3', list)).code['.text'],
    'c3900f1f00'.replace('c3900f1f00', 'c30f1f4000'),
  );
});

test('a relative call of the replacement reaches the same function', () => {
  const list = [{ instr: 0, replacement: 0x200, cpuid: ALWAYS, lengths: [5, 5] as const }];
  assert.equal(boot(kernel('9090909090', `e8${s32(0x80 - 0x205)}`, list)).code['.text'], `e8${s32(0x80 - 5)}`);
});

const direct = (target: number): TinyKernel =>
  kernel(
    `ff15${s32(0x400 - 6)}`,
    `e8${s32(0x100 - 0x205)}`,
    [{ instr: 0, replacement: 0x200, cpuid: ALWAYS, flags: DIRECT_CALL, lengths: [6, 5] }],
    { '.data': { at: 0x400, hex: target < 0 ? '00'.repeat(8) : pointer(target) } },
    { BUG_func: 0x100, nop_func: 0x110, pv_ops: 0x400 },
  );

test('ALT_FLAG_DIRECT_CALL calls what the pointer holds', () => {
  assert.equal(boot(direct(0x140)).code['.text'], `e8${s32(0x140 - 5)}90`);
});
test('a direct call of nop_func is no call', () => assert.equal(boot(direct(0x110)).code['.text'], '660f1f440000'));
test('a direct call of NULL is a call of BUG_func', () =>
  assert.equal(boot(direct(-1)).code['.text'], `e8${s32(0x100 - 5)}90`));

test('6.1: 12-byte entries, NOT in the upper bit, jumps padded with nops', () => {
  const at = TABLE;
  const entry = s32(0 - at) + s32(0x200 - at - 4) + u16(NEVER | 0x8000) + u8(7) + u8(5);
  const { code } = boot({
    version: V6_1,
    sections: {
      '.text': { at: 0, hex: '90909090909090', isCode: true },
      '.altinstr_replacement': { at: 0x200, hex: `e9${s32(0x20 - 0x205)}`, isCode: true },
      '.altinstructions': { at, hex: entry },
    },
    symbols: { _text: 0 },
  });
  assert.equal(code['.text'], 'eb1e0f1f006690');
});

test('a table whose entries point outside of code is refused', () => {
  assert.throws(
    () => boot(kernel('90', '90', [{ instr: 0x999, replacement: 0x200, cpuid: ALWAYS, lengths: [1, 1] }])),
    /altinstructions/,
  );
});
