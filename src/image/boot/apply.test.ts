import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AMD_PROFILE, boot, type TinyKernel, tinyKernel } from '../../../test/boot/tiny-kernel.ts';
import type { BootProfile } from '../kernel-image.ts';
import { applyBootPatching } from './apply.ts';

const SYMBOLS = [
  '__fentry__ __start_mcount_loc __stop_mcount_loc __x86_return_thunk __x86_indirect_thunk_array __x86_indirect_call_thunk_array',
  '__x86_indirect_jump_thunk_array skl_call_thunk_template skl_call_thunk_tail _etext pv_ops BUG_func nop_func static_calls_table',
  '__start_lsm_info __end_lsm_info __start___jump_table __stop___jump_table __start_static_call_sites __stop_static_call_sites',
  'x86_cap_flags x86_bug_flags x86_power_flags __SCK__cond_resched __SCK__apic_call_eoi apic_physflat its_return_thunk',
]
  .join(' ')
  .split(' ');
const TABLES = [
  '.altinstructions',
  '.return_sites',
  '.retpoline_sites',
  '.call_sites',
  '.ibt_endbr_seal',
  '.smp_locks',
  '.parainstructions',
  'runtime_ptr_USER_PTR_MAX',
];

const hex = (max: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength: max }).map((bytes) => Buffer.from(bytes).toString('hex'));

/** Small numbers are places in this kernel; a table of them is often nearly right. */
const nearHex: fc.Arbitrary<string> = fc
  .array(fc.integer({ min: -0x900, max: 0x900 }), { maxLength: 24 })
  .map((words) => Buffer.from(Int32Array.from(words).buffer).toString('hex'));

const kernels: fc.Arbitrary<TinyKernel> = fc
  .record({
    text: hex(0x100),
    replacement: hex(0x40),
    rodata: fc.oneof(hex(0x100), nearHex),
    tables: fc.tuple(...TABLES.map(() => fc.oneof(hex(0x40), nearHex))),
    symbols: fc.tuple(...SYMBOLS.map(() => fc.option(fc.integer({ min: 0, max: 0x900 }), { nil: undefined }))),
  })
  .map(({ text, replacement, rodata, tables, symbols }) => ({
    sections: {
      '.text': { at: 0, hex: `90${text}`, isCode: true },
      '.altinstr_replacement': { at: 0x200, hex: `90${replacement}`, isCode: true },
      '.rodata': { at: 0x300, hex: `00${rodata}` },
      ...Object.fromEntries(TABLES.map((name, i) => [name, { at: 0x400 + 0x80 * i, hex: tables[i] ?? '' }])),
    },
    symbols: Object.fromEntries(
      SYMBOLS.flatMap((name, i) => (symbols[i] === undefined ? [] : [[name, symbols[i]]])),
    ) as Record<string, number>,
  }));

const profiles: readonly Partial<BootProfile>[] = [
  {},
  { cmdline: 'mitigations=off nosmp', vulnerabilities: { spectre_v2: 'Vulnerable' } },
  {
    cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: fpu', 'bugs\t\t: spectre_v2 retbleed'],
    cmdline: 'retbleed=stuff',
    vulnerabilities: {},
  },
  { cpu: ['vendor_id\t: GenuineIntel', 'flags\t\t: ibrs_enhanced', 'bugs\t\t: spectre_v2 its'], vulnerabilities: {} },
];

test('damaged tables end in a fault that names a structure, or in text; never in an exception', () => {
  fc.assert(
    fc.property(kernels, fc.constantFrom(...profiles), (tiny, profile) => {
      const kernel = tinyKernel(tiny);
      const text = kernel.sections
        .filter((s) => s.executable)
        .map((s) => ({ name: s.name, start: s.offset ?? 0, bytes: s.bytes.slice() }));
      const result = applyBootPatching({ kernel, profile: { ...AMD_PROFILE, ...profile }, text });
      if (!result.ok) assert.match(result.fault.detail, /at offset 0x[0-9a-f]+: ./);
    }),
    { numRuns: 3000 },
  );
});

test('a kernel without tables comes out as it went in', () => {
  const { code, result } = boot({ sections: { '.text': { at: 0, hex: 'c390', isCode: true } }, symbols: {} });
  assert.equal(code['.text'], 'c390');
  const { machine, ...rest } = result;
  assert.deepEqual(rest, { counts: {}, unknowns: [] });
  assert.equal(machine.keyStates.size, 0, 'a kernel without symbols has no keys');
});

test('a KVM guest is reported: its hypercalls are in no profile', () => {
  const cpu = ['vendor_id\t: AuthenticAMD', 'flags\t\t: fpu ht hypervisor tsc_known_freq'];
  const { result } = boot({ sections: { '.text': { at: 0, hex: 'c3', isCode: true } }, symbols: {} }, { cpu });
  assert.deepEqual(
    result.unknowns.map(({ category }) => category),
    ['KVM guest'],
  );
});
