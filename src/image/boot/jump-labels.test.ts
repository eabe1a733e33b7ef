import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMD_PROFILE, boot, relative, s32, type TinyKernel } from '../../../test/boot/tiny-kernel.ts';

const BRANCH = 1;
const KEY = 0x200;

const s64 = (value: number): string => s32(value) + (value < 0 ? 'ffffffff' : '00000000');

/** One jump label at 0 to 0x40 with a key of the given name and initial state. */
function kernel(code: string, key: string, enabled: boolean, flags = 0): TinyKernel {
  return {
    sections: {
      '.text': { at: 0, hex: code.padEnd(0x40, '9'), isCode: true },
      '.data': { at: KEY, hex: `0${enabled ? 1 : 0}000000${'00'.repeat(12)}` },
      '.rodata': { at: 0x300, hex: relative(0x300, 0, 0x40) + s64((KEY | flags) - 0x308) },
    },
    symbols: { fn: 0, [key]: KEY, end_of_data: KEY + 16, __start___jump_table: 0x300, __stop___jump_table: 0x310 },
  };
}

const first = (tiny: TinyKernel, bytes: number, profile = {}): string =>
  (boot(tiny, profile).code['.text'] ?? '').slice(0, 2 * bytes);
const told = (name: string, isOn: boolean): object => ({ staticKeys: { [name]: isOn } });

test('a key that is turned on turns its nop into a jump', () => {
  assert.equal(first(kernel('0f1f440000', 'k', false), 5, told('k', true)), `e9${s32(0x40 - 5)}`);
});
test('a short one stays short', () => assert.equal(first(kernel('6690', 'k', false), 2, told('k', true)), 'eb3e'));
test('a key that is turned off turns its jump into a nop', () => {
  assert.equal(first(kernel(`e9${s32(0x40 - 5)}`, 'k', true), 5, told('k', false)), '0f1f440000');
});
test('a likely branch is the other way round', () => {
  assert.equal(first(kernel('eb3e', 'k', false, BRANCH), 2, told('k', true)), '6690');
});
test('a key in its initial state leaves the text as the file has it, even where it were odd', () => {
  assert.equal(first(kernel('0f1f440000', 'k', true), 5, told('k', true)), '0f1f440000');
});
test('keys that every boot turns on', () => assert.equal(first(kernel('6690', 'cr_pinning', false), 2), 'eb3e'));
test('keys that follow from the CPU', () => {
  const hypervisor = { cpu: ['vendor_id\t: AuthenticAMD', 'flags\t\t: fpu tsc ht hypervisor'] };
  assert.equal(first(kernel('6690', 'virt_spin_lock_key', false), 2), '6690');
  assert.equal(first(kernel('6690', 'virt_spin_lock_key', false), 2, hypervisor), 'eb3e');
  assert.equal(first(kernel('6690', '__use_tsc', false), 2, { cmdline: 'notsc' }), '6690');
});
test('keys that follow from the command line', () => {
  assert.equal(first(kernel('6690', 'check_pages_enabled', false), 2), '6690');
  assert.equal(first(kernel('6690', 'check_pages_enabled', false), 2, { cmdline: 'init_on_free=1' }), 'eb3e');
  assert.equal(
    first(kernel('eb3e', 'memory_cgrp_subsys_enabled_key', true), 2, { cmdline: 'cgroup_disable=memory,cpu' }),
    '6690',
  );
});
test('keys that follow from a mitigation', () => {
  const ibpb = {
    cpu: [AMD_PROFILE.cpu[0] ?? '', 'flags\t\t: fpu ht ibpb', 'bugs\t\t: spectre_v2'],
    vulnerabilities: { spectre_v2: 'Mitigation: Retpolines; IBPB: conditional; RSB filling' },
  };
  assert.equal(first(kernel('6690', 'switch_mm_cond_ibpb', false), 2, ibpb), 'eb3e');
  assert.equal(first(kernel('6690', 'switch_mm_always_ibpb', false), 2, ibpb), '6690');
});
test('what the profile says about a key wins', () => {
  assert.equal(first(kernel('6690', 'cr_pinning', false), 2, told('cr_pinning', false)), '6690');
});
test('no broadcast IPI on one CPU', () => {
  const one = { cpu: ['vendor_id\t: AuthenticAMD', 'flags\t\t: fpu hypervisor'] };
  assert.equal(first(kernel('6690', 'apic_use_ipi_shorthand', false), 2), 'eb3e');
  assert.equal(first(kernel('6690', 'apic_use_ipi_shorthand', false), 2, one), '6690');
});
