import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AMD_PROFILE, boot, pointer, relative, s32, type TinyKernel, V6_1 } from '../../../test/boot/tiny-kernel.ts';

const text = (hex: string): TinyKernel['sections'] => ({ '.text': { at: 0, hex, isCode: true } });
const SRSO = {
  cpu: ['vendor_id\t: AuthenticAMD', 'cpu family\t: 25', 'flags\t\t: fpu ht', 'bugs\t\t: spectre_v2 srso'],
  vulnerabilities: { ...AMD_PROFILE.vulnerabilities, spec_rstack_overflow: 'Mitigation: Safe RET' },
};

test('ENDBR of sealed functions is poisoned, others stay', () => {
  const sections = { ...text('f30f1efaf30f1efac3'), '.ibt_endbr_seal': { at: 0x100, hex: relative(0x100, 4, 8) } };
  assert.equal(boot({ sections, symbols: {} }).code['.text'], 'f30f1efa660f1f00c3');
});

test('calls of __fentry__ become nops; zero entries and other calls are passed over', () => {
  const sections = {
    ...text(`e8${s32(0x40 - 5)}e8${s32(0x44 - 10)}`),
    '.init.data': { at: 0x100, hex: pointer(0) + '00'.repeat(8) + pointer(5) },
  };
  const symbols = { __fentry__: 0x40, __start_mcount_loc: 0x100, __stop_mcount_loc: 0x118 };
  assert.equal(boot({ sections, symbols }).code['.text'], `0f1f440000e8${s32(0x44 - 10)}`);
});

const returns: TinyKernel = {
  sections: {
    ...text(`e9${s32(0x50 - 5)}e9${s32(0x58 - 10)}`),
    '.return_sites': { at: 0x100, hex: relative(0x100, 0, 5) },
  },
  symbols: { __x86_return_thunk: 0x50, srso_alias_return_thunk: 0x60 },
};

test('a return without thunk is ret and int3; a jump elsewhere is left alone', () => {
  assert.equal(boot(returns).code['.text'], `c3cccccccce9${s32(0x58 - 10)}`);
});
test('with Safe RET on Zen 3 it goes to srso_alias_return_thunk', () => {
  assert.equal(boot(returns, SRSO).code['.text'], `e9${s32(0x60 - 5)}e9${s32(0x58 - 10)}`);
});

test('ITS: only returns in the lower half of a cache line go through the thunk', () => {
  const hex = `e9${s32(0x150 - 5)}${'90'.repeat(27)}e9${s32(0x150 - 0x25)}`;
  const sections = { ...text(hex), '.return_sites': { at: 0x100, hex: relative(0x100, 0, 0x20) } };
  const { code } = boot(
    { sections, symbols: { __x86_return_thunk: 0x150, its_return_thunk: 0x160 } },
    {
      cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: fpu ht ibrs_enhanced', 'bugs\t\t: spectre_v2 its'],
      vulnerabilities: {
        spectre_v2: 'Mitigation: Enhanced / Automatic IBRS',
        indirect_target_selection: 'Mitigation: Aligned branch/return thunks',
      },
    },
  );
  assert.equal(code['.text'], `e9${s32(0x160 - 5)}${'90'.repeat(27)}c3cccccccc`);
});

test('one CPU: LOCK becomes DS, in .text only', () => {
  const sections = { ...text('f00fb111f0'), '.smp_locks': { at: 0x100, hex: relative(0x100, 0, 4) } };
  const tiny = { sections, symbols: { _etext: 4 } };
  assert.equal(boot(tiny, { cmdline: 'nosmp' }).code['.text'], '3e0fb111f0');
  assert.equal(boot(tiny, { cmdline: 'maxcpus=1 noreplace-smp' }).code['.text'], 'f00fb111f0');
  assert.equal(boot(tiny).code['.text'], 'f00fb111f0');
});

test('6.1 paravirt: calls through pv_ops become calls of the functions or nops', () => {
  const site = (at: number, type: number): string => `${pointer(at)}0${type}06ffff00000000`;
  const sections = {
    ...text('ff142500000000ff1425000000'.slice(0, 24)),
    '.data': { at: 0x200, hex: pointer(0x80) + pointer(0x90) },
    '.parainstructions': { at: 0x300, hex: site(0, 0) + site(6, 1) },
  };
  const { code } = boot({ version: V6_1, sections, symbols: { pv_ops: 0x200, _paravirt_nop: 0x90 } });
  assert.equal(code['.text'], `e8${s32(0x80 - 5)}90660f1f440000`);
});

test('the user pointer limit follows the paging mode', () => {
  const sections = {
    ...text('48b8efcdab8967452301'),
    runtime_ptr_USER_PTR_MAX: { at: 0x100, hex: relative(0x100, 2) },
  };
  assert.equal(boot({ sections, symbols: {} }).code['.text'], '48b800f0ffffff7f0000');
  const la57 = { cpu: [...AMD_PROFILE.cpu.slice(0, 1), 'flags\t\t: fpu ht la57'] };
  assert.equal(boot({ sections, symbols: {} }, la57).code['.text'], '48b800f0ffffffffff00');
});

test('constants that depend on memory are reported, not guessed', () => {
  const sections = { ...text('c1e80c'), runtime_shift_d_hash_shift: { at: 0x100, hex: relative(0x100, 2) } };
  const { code, result } = boot({ sections, symbols: {} });
  assert.equal(code['.text'], 'c1e80c');
  assert.deepEqual(
    result.unknowns.map(({ category, count }) => [category, count]),
    [['runtime constant', 1]],
  );
});

test('a truncated table is refused by name', () => {
  const sections = { ...text('90'), '.return_sites': { at: 0x100, hex: '000000' } };
  assert.throws(() => boot({ sections, symbols: {} }), /\.return_sites at offset 0x100/);
});
