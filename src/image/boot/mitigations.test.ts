import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCmdline } from './cmdline.ts';
import { parseCpuInfo } from './cpuinfo.ts';
import { deriveHiddenFeatures } from './hidden-features.ts';
import { amdFamily, type Mitigations, selectMitigations } from './mitigations.ts';

interface Machine {
  readonly vendor?: 'GenuineIntel' | 'AuthenticAMD';
  readonly model?: string;
  readonly flags?: string;
  readonly bugs?: string;
  readonly cmdline?: string;
  readonly vulnerabilities?: Readonly<Record<string, string>>;
}

const cpuOf = ({ vendor = 'GenuineIntel', model = '', flags = '', bugs = '' }: Machine) =>
  parseCpuInfo({
    name: 't',
    cpu: [`vendor_id\t: ${vendor}`, `model name\t: ${model}`, `flags\t\t: ${flags}`, `bugs\t\t: ${bugs}`],
    vulnerabilities: {},
    cmdline: '',
  });

const select = (machine: Machine): Mitigations =>
  selectMitigations({
    cpu: cpuOf(machine),
    vulnerabilities: machine.vulnerabilities ?? {},
    cmdline: parseCmdline(machine.cmdline ?? ''),
  });

const INTEL = 'ibrs ibpb stibp ssbd';
const cases: readonly (readonly [string, Machine, Partial<Mitigations>, readonly string[], readonly string[]])[] = [
  [
    'retpolines by default',
    { bugs: 'spectre_v2' },
    { spectreV2: 'retpoline' },
    ['RETPOLINE', 'RSB_CTXSW'],
    ['RETHUNK'],
  ],
  ['not affected: nothing', {}, { spectreV2: 'none' }, [], ['RETPOLINE', 'RSB_CTXSW']],
  [
    'eIBRS where the CPU has it',
    { flags: 'ibrs_enhanced ibrs', bugs: 'spectre_v2' },
    { spectreV2: 'eibrs' },
    [],
    ['RETPOLINE', 'USE_IBRS_FW'],
  ],
  [
    'IBRS for RETBleed on Intel',
    { flags: INTEL, bugs: 'spectre_v2 retbleed' },
    { spectreV2: 'ibrs', retbleed: 'ibrs' },
    ['KERNEL_IBRS', 'USE_IBPB'],
    ['RETHUNK'],
  ],
  [
    'mitigations=off',
    { flags: INTEL, bugs: 'spectre_v1 spectre_v2 retbleed', cmdline: 'mitigations=off' },
    { spectreV2: 'none', retbleed: 'none' },
    [],
    ['RETPOLINE', 'FENCE_SWAPGS_KERNEL', 'USE_IBPB'],
  ],
  [
    'retbleed=stuff',
    { flags: INTEL, bugs: 'spectre_v2 retbleed', cmdline: 'retbleed=stuff' },
    { spectreV2: 'retpoline', returnThunk: 'call_depth_return_thunk' },
    ['RETHUNK', 'CALL_DEPTH'],
    [],
  ],
  [
    'spectre_v2=retpoline,lfence',
    { bugs: 'spectre_v2', cmdline: 'spectre_v2=retpoline,lfence' },
    { spectreV2: 'lfence' },
    ['RETPOLINE', 'RETPOLINE_LFENCE'],
    [],
  ],
  [
    'untrained returns on Zen 1 and 2',
    { vendor: 'AuthenticAMD', flags: 'ibpb', bugs: 'spectre_v2 retbleed smt_rsb' },
    { retbleed: 'unret', returnThunk: 'retbleed_return_thunk' },
    ['RETHUNK', 'UNRET', 'USE_IBPB_FW'],
    [],
  ],
  [
    'retbleed=ibpb needs no thunk',
    { vendor: 'AuthenticAMD', flags: 'ibpb', bugs: 'spectre_v2 retbleed', cmdline: 'retbleed=ibpb' },
    { retbleed: 'ibpb' },
    ['ENTRY_IBPB'],
    ['RETHUNK', 'UNRET', 'USE_IBPB_FW'],
  ],
  [
    'Safe RET on Zen 3',
    {
      vendor: 'AuthenticAMD',
      bugs: 'spectre_v2 srso',
      vulnerabilities: { spec_rstack_overflow: 'Vulnerable: Safe RET, no microcode' },
    },
    { returnThunk: 'srso_alias_return_thunk' },
    ['SRSO_ALIAS', 'RETHUNK'],
    ['SRSO'],
  ],
  [
    'Safe RET on Zen 2',
    { vendor: 'AuthenticAMD', bugs: 'spectre_v2 retbleed srso' },
    { returnThunk: 'srso_return_thunk' },
    ['SRSO', 'UNRET'],
    ['SRSO_ALIAS'],
  ],
  [
    'ITS with eIBRS',
    { flags: 'ibrs_enhanced', bugs: 'spectre_v2 its' },
    { returnThunk: 'its_return_thunk' },
    ['RETHUNK', 'INDIRECT_THUNK_ITS'],
    ['RETPOLINE'],
  ],
  [
    'ITS with retpolines',
    { bugs: 'spectre_v2 its' },
    { returnThunk: 'its_return_thunk' },
    ['RETHUNK', 'RETPOLINE'],
    ['INDIRECT_THUNK_ITS'],
  ],
  [
    'indirect_target_selection=off',
    { bugs: 'spectre_v2 its', cmdline: 'indirect_target_selection=off' },
    { returnThunk: undefined },
    [],
    ['RETHUNK'],
  ],
  [
    'the loop against BHI',
    { flags: 'ibrs_enhanced', bugs: 'spectre_v2 bhi' },
    {},
    ['CLEAR_BHB_LOOP', 'CLEAR_BHB_LOOP_ON_VMEXIT'],
    ['CLEAR_BHB_HW'],
  ],
  [
    'what /sys says about BHI decides',
    {
      flags: 'ibrs_enhanced',
      bugs: 'spectre_v2 bhi',
      vulnerabilities: { spectre_v2: 'Mitigation: Enhanced / Automatic IBRS; BHI: BHI_DIS_S' },
    },
    {},
    ['CLEAR_BHB_HW'],
    ['CLEAR_BHB_LOOP'],
  ],
  [
    'swapgs fences',
    { flags: 'fsgsbase smap', bugs: 'spectre_v1 swapgs' },
    {},
    ['FENCE_SWAPGS_USER', 'FENCE_SWAPGS_KERNEL'],
    [],
  ],
  [
    'PTI fences user entry already',
    { flags: 'fsgsbase pti', bugs: 'spectre_v1 swapgs cpu_meltdown' },
    {},
    ['FENCE_SWAPGS_KERNEL'],
    ['FENCE_SWAPGS_USER'],
  ],
  [
    'working SMAP without FSGSBASE needs none',
    { flags: 'smap', bugs: 'spectre_v1 swapgs' },
    {},
    [],
    ['FENCE_SWAPGS_KERNEL'],
  ],
  [
    'VERW',
    {
      bugs: 'mds',
      vulnerabilities: { mds: 'Vulnerable: Clear CPU buffers attempted, no microcode; SMT Host state unknown' },
    },
    {},
    ['CLEAR_CPU_BUF'],
    [],
  ],
  [
    'VERW for VMs only is not VERW',
    { vulnerabilities: { tsa: 'Mitigation: Clear CPU buffers: VM' } },
    {},
    [],
    ['CLEAR_CPU_BUF'],
  ],
  [
    'speculative store bypass disabled for all',
    { vulnerabilities: { spec_store_bypass: 'Mitigation: Speculative Store Bypass disabled' } },
    {},
    ['SPEC_STORE_BYPASS_DISABLE'],
    [],
  ],
  [
    '… and by prctl is something else',
    { vulnerabilities: { spec_store_bypass: 'Mitigation: Speculative Store Bypass disabled via prctl' } },
    {},
    [],
    ['SPEC_STORE_BYPASS_DISABLE'],
  ],
];

for (const [name, machine, wanted, on, off] of cases) {
  test(name, () => {
    const got = select(machine);
    for (const [key, value] of Object.entries(wanted)) assert.equal(got[key as keyof Mitigations], value, key);
    for (const feature of on) assert.ok(got.features.has(feature), `${feature} is on`);
    for (const feature of off) assert.ok(!got.features.has(feature), `${feature} is off`);
  });
}

test('BPF flushes the predictors where IBPB exists and retpolines do not', () => {
  assert.ok(select({ flags: 'ibrs_enhanced ibpb', bugs: 'spectre_v2' }).bpfPredFlush);
  assert.ok(!select({ flags: 'ibpb', bugs: 'spectre_v2' }).bpfPredFlush);
});

test('keys of user space mitigations', () => {
  assert.equal(select({ flags: INTEL, bugs: 'spectre_v2' }).staticKeys.get('switch_mm_cond_ibpb'), true);
  assert.equal(
    select({ flags: INTEL, bugs: 'spectre_v2', cmdline: 'spectre_v2=on' }).staticKeys.get('switch_mm_always_ibpb'),
    true,
  );
  assert.equal(select({ flags: INTEL, bugs: 'spectre_v2', cmdline: 'spectre_v2_user=off' }).staticKeys.size, 0);
});

test('the family of an AMD CPU that does not tell it', () => {
  assert.equal(amdFamily(cpuOf({ bugs: 'retbleed smt_rsb' })), 0x17);
  assert.equal(amdFamily(cpuOf({ bugs: 'retbleed' })), 0x15);
  assert.equal(amdFamily(cpuOf({ model: 'AMD EPYC-Milan Processor', bugs: 'srso' })), 0x19);
  assert.equal(amdFamily(cpuOf({ bugs: 'srso vmscape' })), 0x1a);
});

test('features that /proc/cpuinfo does not print', () => {
  const derive = (machine: Machine): ReadonlySet<string> => deriveHiddenFeatures(cpuOf(machine), select(machine));
  const amd = derive({ vendor: 'AuthenticAMD', flags: 'sse2 xsave xsavec fsrm ssbd hypervisor' });
  for (const name of [
    'ALWAYS',
    'SYSCALL32',
    'LFENCE_RDTSC',
    'OSXSAVE',
    'XCOMPACTED',
    'FSRS',
    'AMD_SSBD',
    'MSR_SPEC_CTRL',
  ])
    assert.ok(amd.has(name), name);
  for (const name of ['SYSENTER32', 'APIC_MSRS_FENCE', 'SPEC_CTRL_SSBD']) assert.ok(!amd.has(name), name);
  const intel = derive({ flags: 'sse2 fsrm ssbd ibrs user_shstk' });
  for (const name of ['SYSENTER32', 'APIC_MSRS_FENCE', 'SPEC_CTRL_SSBD', 'MSR_SPEC_CTRL', 'SHSTK'])
    assert.ok(intel.has(name), name);
  for (const name of ['SYSCALL32', 'FSRS', 'XCOMPACTED']) assert.ok(!intel.has(name), name);
});

test('command line words', () => {
  const cmdline = parseCmdline('a=1 b a=2 c-d=x "e=f g" q="h i" -- z=1');
  assert.equal(cmdline.value('a'), '2');
  assert.deepEqual(cmdline.values('a'), ['1', '2']);
  assert.ok(cmdline.flag('b'));
  assert.equal(cmdline.value('c_d'), 'x');
  assert.equal(cmdline.value('e'), 'f g');
  assert.equal(cmdline.value('q'), 'h i');
  assert.equal(cmdline.value('z'), undefined);
});
