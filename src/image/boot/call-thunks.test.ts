import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boot, relative, s32, type TinyKernel } from '../../../test/boot/tiny-kernel.ts';

const STUFF = {
  cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: fpu ht', 'bugs\t\t: spectre_v2 retbleed'],
  vulnerabilities: { retbleed: 'Mitigation: Stuffing', spectre_v2: 'Mitigation: Retpolines; RSB filling' },
};
/** `sarq $5, %gs:x(%rip)` as it stands in .rodata, where it refers to offset 0x1000. */
const TEMPLATE = `6548c13d${s32(0x1000 - 0x209)}05`;
const counting = (at: number): string => `6548c13d${s32(0x1000 - at - 9)}05`;

/** A call at 0 of the function at 0x20, with the given bytes in front of that; another call of it at 5. */
function kernel(padding: string, symbols: Readonly<Record<string, number>> = {}): TinyKernel {
  const text = `e8${s32(0x20 - 5)}e8${s32(0x20 - 10)}`.padEnd(2 * 0x17, 'c') + padding + 'c3'.repeat(16);
  return {
    sections: {
      '.text': { at: 0, hex: text, isCode: true },
      '.rodata': { at: 0x200, hex: TEMPLATE },
      '.call_sites': { at: 0x300, hex: relative(0x300, 0, 5) },
    },
    symbols: { skl_call_thunk_template: 0x200, skl_call_thunk_tail: 0x209, _etext: 0x100, ...symbols },
  };
}

test('calls go to the counting code that is written into the padding, once', () => {
  const text = boot(kernel('90'.repeat(9)), STUFF).code['.text'] ?? '';
  assert.equal(text.slice(0, 20), `e8${s32(0x17 - 5)}e8${s32(0x17 - 10)}`);
  assert.equal(text.slice(2 * 0x17, 2 * 0x20), counting(0x17));
});
test('no padding, no thunk', () => {
  const text = boot(kernel('cc'.repeat(9)), STUFF).code['.text'] ?? '';
  assert.equal(text.slice(0, 20), `e8${s32(0x20 - 5)}e8${s32(0x20 - 10)}`);
});
test('functions that count for themselves are called as before', () => {
  const text = boot(kernel('90'.repeat(9), { ret_from_fork: 0x20 }), STUFF).code['.text'] ?? '';
  assert.equal(text.slice(0, 10), `e8${s32(0x20 - 5)}`);
});
test('without call depth tracking nothing happens', () => {
  const text = boot(kernel('90'.repeat(9))).code['.text'] ?? '';
  assert.equal(text.slice(0, 10), `e8${s32(0x20 - 5)}`);
  assert.equal(text.slice(2 * 0x17, 2 * 0x20), '90'.repeat(9));
});
