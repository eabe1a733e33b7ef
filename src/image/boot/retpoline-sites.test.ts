import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMD_PROFILE, boot, relative, s32, type TinyKernel } from '../../../test/boot/tiny-kernel.ts';

const THUNKS = 0x200;
const thunk = (register: number): number => THUNKS + 32 * register;

/** One site of the given opcode bytes in front of a rel32 to the thunk of a register. */
function site(opcode: string, register: number): TinyKernel {
  const length = opcode.length / 2 + 4;
  return {
    sections: {
      '.text': { at: 0, hex: `${opcode}${s32(thunk(register) - length)}`, isCode: true },
      '.retpoline_sites': { at: 0x100, hex: relative(0x100, 0) },
    },
    symbols: {
      __x86_indirect_thunk_array: THUNKS,
      __x86_indirect_call_thunk_array: 0x400,
      __x86_indirect_jump_thunk_array: 0x600,
    },
  };
}

const OFF = { cmdline: 'mitigations=off', vulnerabilities: { spectre_v2: 'Vulnerable' } };
const LFENCE = { vulnerabilities: { spectre_v2: 'Vulnerable: LFENCE' } };
const STUFF = {
  cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: fpu ht', 'bugs\t\t: spectre_v2 retbleed'],
  cmdline: 'retbleed=stuff',
};
const ITS = {
  cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: fpu ht ibrs_enhanced', 'bugs\t\t: spectre_v2 its'],
  vulnerabilities: {
    spectre_v2: 'Mitigation: Enhanced / Automatic IBRS',
    indirect_target_selection: 'Mitigation: Aligned branch/return thunks',
  },
};

for (const [name, opcode, register, profile, after] of [
  ['generic: stays', 'e8', 0, {}, `e8${s32(thunk(0) - 5)}`],
  ['off: call *%rax', 'e8', 0, OFF, 'ffd00f1f00'],
  ['off: call *%r11 with a CS prefix', '2ee8', 11, OFF, '41ffd30f1f00'],
  ['off: jmp *%rdx', 'e9', 2, OFF, 'ffe2cc6690'],
  ['off: jcc becomes the inverse over a jump', '0f84', 11, OFF, '750441ffe3cc'],
  ['lfence: call *%rax', 'e8', 0, LFENCE, '0faee8ffd0'],
  ['lfence: what does not fit stays', 'e8', 11, LFENCE, `e8${s32(thunk(11) - 5)}`],
  ['lfence: with a CS prefix it fits', '2ee8', 11, LFENCE, '0faee841ffd3'],
  ['call depth: call to the counting thunk', 'e8', 1, STUFF, `e8${s32(0x420 - 5)}`],
  ['call depth: jump to the other', 'e9', 1, STUFF, `e9${s32(0x620 - 5)}`],
  ['%rsp is no register for this', 'e8', 4, OFF, `e8${s32(thunk(4) - 5)}`],
] as const) {
  test(name, () => assert.equal(boot(site(opcode, register), profile).code['.text'], after));
}

test('ITS: a branch in the lower half of a line goes to a thunk in the first module page, at its first upper half', () => {
  assert.equal(boot(site('e8', 0), ITS).code['.text'], `e8${s32(0x3f00_0000 + 32 - 5)}`);
});

test('ITS: a branch in the upper half is direct', () => {
  const at = 0x20;
  const tiny: TinyKernel = {
    ...site('e8', 0),
    sections: {
      '.text': { at: 0, hex: `${'90'.repeat(at)}e8${s32(thunk(0) - at - 5)}`, isCode: true },
      '.retpoline_sites': { at: 0x100, hex: relative(0x100, at) },
    },
  };
  assert.equal(boot(tiny, ITS).code['.text']?.slice(2 * at), 'ffd00f1f00');
});

test('a site that is neither call nor jump is left alone', () => {
  const tiny: TinyKernel = {
    ...site('e8', 0),
    sections: { ...site('e8', 0).sections, '.text': { at: 0, hex: '90909090909090', isCode: true } },
  };
  assert.equal(boot(tiny, { ...AMD_PROFILE, ...OFF }).code['.text'], '90909090909090');
});
