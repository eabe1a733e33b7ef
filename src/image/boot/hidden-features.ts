import type { RawKernel } from '../raw-kernel.ts';
import { isAtLeast } from './context.ts';
import { type CapFlags, type CpuCaps, capsOf } from './cpu-caps.ts';
import { type CpuInfo, isKvmGuest } from './cpuinfo.ts';
import { amdFamily, type Mitigations } from './mitigations.ts';

const bit = (word: number, index: number): number => word * 32 + index;

/** X86_FEATURE_* bits that /proc/cpuinfo does not print (arch/x86/include/asm/cpufeatures.h): of 6.12 … */
const HIDDEN_6_12: Readonly<Record<string, number>> = {
  ZEN5: bit(3, 5),
  SYSCALL32: bit(3, 14),
  SYSENTER32: bit(3, 15),
  CLEAR_CPU_BUF: bit(3, 18),
  ALWAYS: bit(3, 21),
  OSXSAVE: bit(4, 27),
  XCOMPACTED: bit(7, 10),
  KERNEL_IBRS: bit(7, 12),
  RSB_VMEXIT: bit(7, 13),
  MSR_SPEC_CTRL: bit(7, 16),
  RSB_CTXSW: bit(7, 19),
  USE_IBPB: bit(7, 21),
  USE_IBRS_FW: bit(7, 22),
  SPEC_STORE_BYPASS_DISABLE: bit(7, 23),
  LS_CFG_SSBD: bit(7, 24),
  ZEN: bit(7, 28),
  L1TF_PTEINV: bit(7, 29),
  COHERENCY_SFW_NO: bit(8, 4),
  XENPV: bit(8, 16),
  VMCALL: bit(8, 18),
  VMW_VMMCALL: bit(8, 19),
  PVUNLOCK: bit(8, 20),
  VCPUPREEMPT: bit(8, 21),
  XFD: bit(10, 4),
  FENCE_SWAPGS_USER: bit(11, 4),
  FENCE_SWAPGS_KERNEL: bit(11, 5),
  ENTRY_IBPB: bit(11, 10),
  RETPOLINE: bit(11, 12),
  RETPOLINE_LFENCE: bit(11, 13),
  RETHUNK: bit(11, 14),
  UNRET: bit(11, 15),
  USE_IBPB_FW: bit(11, 16),
  RSB_VMEXIT_LITE: bit(11, 17),
  CALL_DEPTH: bit(11, 19),
  MSR_TSX_CTRL: bit(11, 20),
  SRSO: bit(11, 24),
  SRSO_ALIAS: bit(11, 25),
  IBPB_ON_VMEXIT: bit(11, 26),
  APIC_MSRS_FENCE: bit(11, 27),
  ZEN2: bit(11, 28),
  ZEN3: bit(11, 29),
  ZEN4: bit(11, 30),
  ZEN1: bit(11, 31),
  FSRS: bit(12, 11),
  AMD_SSBD: bit(13, 24),
  SHSTK: bit(16, 7),
  HYBRID_CPU: bit(18, 15),
  SPEC_CTRL_SSBD: bit(18, 31),
  LFENCE_RDTSC: bit(20, 2),
  CLEAR_BHB_LOOP: bit(21, 1),
  CLEAR_BHB_HW: bit(21, 3),
  CLEAR_BHB_LOOP_ON_VMEXIT: bit(21, 4),
  INDIRECT_THUNK_ITS: bit(21, 6),
  IBPB_EXIT_TO_USER: bit(21, 14),
};

/** … and where 6.1 differs; undefined for what it does not have. */
const HIDDEN_6_1: Readonly<Record<string, number | undefined>> = {
  ...HIDDEN_6_12,
  ZEN5: undefined,
  CLEAR_CPU_BUF: bit(11, 18),
  COHERENCY_SFW_NO: bit(8, 5),
  CALL_DEPTH: undefined,
  FSRS: undefined,
  SHSTK: undefined,
  LFENCE_RDTSC: bit(3, 18),
  INDIRECT_THUNK_ITS: bit(21, 5),
};

/** LFENCE_RDTSC moved to the word of CPUID 0x80000021 in 6.3; the other differences came at about the same time. */
const hiddenBits = (kernel: RawKernel): Readonly<Record<string, number | undefined>> =>
  isAtLeast(kernel, 6, 3) ? HIDDEN_6_12 : HIDDEN_6_1;

/** Zen generations by family and model (early_init_amd and bsp_init_amd); by name where a profile has no numbers. */
function zenFeatures(cpu: CpuInfo): readonly string[] {
  if (cpu.vendor === 'hygon') return ['ZEN'];
  const family = amdFamily(cpu);
  if (cpu.vendor !== 'amd' || family < 0x17) return [];
  const model = cpu.model;
  const isZen2 =
    model === undefined ? /Rome|Zen 2/i.test(cpu.modelName) : (model >= 0x30 && model <= 0x4f) || model >= 0x60;
  const isZen4 =
    model === undefined ? /Genoa|Bergamo/i.test(cpu.modelName) : (model >= 0x10 && model <= 0x1f) || model >= 0x60;
  if (family === 0x17) return ['ZEN', isZen2 && !cpu.bugs.has('div0') ? 'ZEN2' : 'ZEN1'];
  if (family === 0x19) return ['ZEN', isZen4 ? 'ZEN4' : 'ZEN3'];
  return ['ZEN', 'ZEN5'];
}

/** What each vendor's init function sets without CPUID saying so. */
function vendorFeatures(cpu: CpuInfo): readonly string[] {
  const { flags, vendor } = cpu;
  const on: string[] = [];
  const isAmd = vendor === 'amd' || vendor === 'hygon';
  // FRED has no use for either instruction of 32-bit programs.
  const fast32 = isAmd ? 'SYSCALL32' : 'SYSENTER32';
  if (!flags.has('fred') && vendor !== 'other') on.push(fast32);
  // AMD and Hygon clear the fence that everyone gets by default.
  if (!isAmd) on.push('APIC_MSRS_FENCE');
  if (flags.has('sse2') && vendor !== 'other') on.push('LFENCE_RDTSC');
  if (vendor === 'amd' && flags.has('fsrm')) on.push('FSRS');
  // Intel's CPUs from Alder Lake on; QEMU's own emulation does not have it.
  if (vendor === 'intel' && flags.has('avx_vnni') && (!flags.has('hypervisor') || isKvmGuest(cpu))) on.push('FSRS');
  if (flags.has('ssbd')) on.push(...ssbdFeatures(cpu, isAmd));
  return on;
}

function ssbdFeatures(cpu: CpuInfo, isAmd: boolean): readonly string[] {
  if (!isAmd) return ['SPEC_CTRL_SSBD', 'MSR_SPEC_CTRL'];
  if (cpu.flags.has('virt_ssbd')) return [];
  const family = amdFamily(cpu);
  const isLsCfg = !cpu.flags.has('hypervisor') && family >= 0x15 && family <= 0x17;
  return isLsCfg ? ['LS_CFG_SSBD'] : ['AMD_SSBD', 'MSR_SPEC_CTRL'];
}

/** Names of the hidden features that hold on this machine. */
export function deriveHiddenFeatures(cpu: CpuInfo, mitigations: Mitigations): ReadonlySet<string> {
  const { flags } = cpu;
  const on = new Set<string>(['ALWAYS', ...vendorFeatures(cpu), ...zenFeatures(cpu), ...mitigations.features]);
  if (flags.has('xsave')) on.add('OSXSAVE');
  if (flags.has('xsavec') || flags.has('xsaves')) on.add('XCOMPACTED');
  if (flags.has('ibrs') || flags.has('stibp')) on.add('MSR_SPEC_CTRL');
  if (flags.has('user_shstk')) on.add('SHSTK');
  // Extended feature disabling came with AMX and is what its 8 KiB of state need.
  if (flags.has('amx_tile')) on.add('XFD');
  return on;
}

/**
 * The CPU's capability bits: the names that /proc/cpuinfo prints, the hidden ones as derived, and what the profile's `staticKeys` says
 * about `X86_FEATURE_…` by name, which wins.
 */
export function cpuCaps(
  kernel: RawKernel,
  names: CapFlags,
  cpu: CpuInfo,
  mitigations: Mitigations,
  told: Readonly<Record<string, boolean>>,
): CpuCaps {
  const bits = new Set<number>();
  for (const flag of cpu.flags) {
    const known = names.features.get(flag);
    if (known !== undefined) bits.add(known);
  }
  for (const bug of cpu.bugs) {
    const known = names.bugs.get(bug);
    if (known !== undefined) bits.add(known);
  }
  const hidden = hiddenBits(kernel);
  for (const name of deriveHiddenFeatures(cpu, mitigations)) {
    const known = hidden[name];
    if (known !== undefined) bits.add(known);
  }
  for (const [name, isOn] of Object.entries(told)) {
    const known = name.startsWith('X86_FEATURE_') ? hidden[name.slice('X86_FEATURE_'.length)] : undefined;
    if (known !== undefined && isOn) bits.add(known);
    else if (known !== undefined) bits.delete(known);
  }
  return capsOf(bits);
}

/** Bit of a hidden feature in this kernel, for passes that test one by name. */
export function hasFeature(kernel: RawKernel, caps: CpuCaps, name: string): boolean {
  const known = hiddenBits(kernel)[name];
  return known !== undefined && caps.has(known);
}
