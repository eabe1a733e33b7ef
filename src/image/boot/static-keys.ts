import type { BootContext } from './context.ts';
import type { JumpEntry } from './jump-entries.ts';
import { readU32, symbolAround } from './kernel-memory.ts';
import type { LsmState } from './lsm-calls.ts';

/** Keys whose state after boot follows from the profile: by offset of the struct static_key. */
export type KeyStates = Map<number, boolean>;

/** On every machine, once it has booted. Keys that a kernel does not have are passed over. */
const ALWAYS: Readonly<Record<string, boolean>> = {
  // setup_cr_pinning; page_alloc_init_late; sched_clock_init_late; crypto_algapi_init; lib/crc*.c module_init; credit_init_bits.
  cr_pinning: true,
  deferred_pages: false,
  sched_clock_running: true,
  __crypto_boot_test_finished: true,
  crct10dif_fallback: false,
  crc64_rocksoft_fallback: false,
  crng_is_ready: true,
};

/** DO_ONCE of functions that every boot runs: the kernel's own certificates and the registration of the first algorithms. */
const ONCE_IN: readonly string[] = ['key_set_index_key', 'alg_test'];

const isTrueWord = (word: string): boolean => /^(?:1|y|on)/i.test(word);

/** Initial `enabled` of a key; keys in .bss are off. */
export const initiallyEnabled = (boot: BootContext, key: number): boolean => (readU32(boot.kernel, key) ?? 0) !== 0;

function initOnAlloc(boot: BootContext, name: string): boolean {
  const key = boot.kernel.symbolOffset(name);
  const word = boot.cmdline.value(name);
  return word === undefined ? key !== undefined && initiallyEnabled(boot, key) : isTrueWord(word);
}

function cpuKeys(boot: BootContext, set: (name: string, isOn: boolean) => void, flags: ReadonlySet<string>): void {
  const { cmdline } = boot;
  const isTscUsable = flags.has('tsc') && !cmdline.flag('notsc');
  set('__use_tsc', isTscUsable);
  set('__sched_clock_stable', isTscUsable && cmdline.value('tsc') !== 'unstable');
  const nohz = cmdline.value('nohz') !== 'off' && cmdline.value('highres') !== 'off';
  set('timers_nohz_active', nohz);
  set('timers_migration_enabled', nohz);
  set('virt_spin_lock_key', flags.has('hypervisor') && !cmdline.flag('nopvspin'));
  set('blake2s_use_ssse3', flags.has('ssse3'));
  set(
    'blake2s_use_avx512',
    ['avx', 'avx2', 'avx512f', 'avx512vl'].every((flag) => flags.has(flag)),
  );
  set('__fpu_state_size_dynamic', flags.has('amx_tile'));
  set('arch_scale_freq_key', flags.has('aperfmperf') && !flags.has('hypervisor'));
}

function cmdlineKeys(boot: BootContext, set: (name: string, isOn: boolean) => void): void {
  const { cmdline } = boot;
  // Poisoning takes the place of initialising.
  const poisons =
    boot.kernel.symbolOffset('_page_poisoning_enabled') !== undefined && isTrueWord(cmdline.value('page_poison') ?? '');
  if (poisons) set('_page_poisoning_enabled', true);
  const alloc = !poisons && initOnAlloc(boot, 'init_on_alloc');
  const free = !poisons && initOnAlloc(boot, 'init_on_free');
  set('init_on_alloc', alloc);
  set('init_on_free', free);
  // The key is of 6.2; before, the checks hung on a debugging option alone.
  set('check_pages_enabled', alloc || free || poisons);
  const kstack = cmdline.value('randomize_kstack_offset');
  if (kstack !== undefined) set('randomize_kstack_offset', isTrueWord(kstack));
  const slabDebug = cmdline.value('slab_debug') ?? cmdline.value('slub_debug');
  if (slabDebug !== undefined && !/^[-O]/.test(slabDebug)) set('slub_debug_enabled', true);
  if (cmdline.flag('slab_debug') || cmdline.flag('slub_debug')) set('slub_debug_enabled', true);
  if (cmdline.value('numa_balancing') === 'enable') set('sched_numa_balancing', true);
  if (cmdline.flag('threadirqs')) set('force_irqthreads_key', true);
  if (cmdline.value('hardened_usercopy') !== undefined)
    set('bypass_usercopy_checks', !isTrueWord(cmdline.value('hardened_usercopy') ?? ''));
  if (cmdline.flag('delayacct')) set('delayacct_key', true);
  if (cmdline.value('schedstats') === 'enable') set('sched_schedstats', true);
  if (cmdline.value('psi') !== undefined) set('psi_disabled', !isTrueWord(cmdline.value('psi') ?? ''));
  if (cmdline.value('isolcpus') !== undefined || cmdline.value('nohz_full') !== undefined)
    set('housekeeping_overridden', true);
  if (cmdline.value('nohz_full') !== undefined) set('context_tracking_key', true);
  for (const name of (cmdline.values('cgroup_disable') ?? []).flatMap((value) => value.split(','))) {
    set(`${name}_cgrp_subsys_enabled_key`, false);
  }
}

/** True when this profile's kernel runs on one CPU only: `nosmp`, `maxcpus`, or a virtual machine whose CPUID says that nothing shares the package. */
export function isUniprocessor(boot: BootContext): boolean {
  const { cmdline, cpu } = boot;
  const limits = ['maxcpus', 'nr_cpus', 'possible_cpus'].map((name) => cmdline.value(name));
  if (cmdline.flag('nosmp') || limits.some((limit) => limit !== undefined && Number(limit) <= 1)) return true;
  if (cpu.cpus !== undefined) return cpu.cpus === 1;
  return cpu.flags.has('hypervisor') && !cpu.flags.has('ht');
}

/** Hooks of nf_hooks_needed that modules which label packets register: NF_INET_FORWARD 2, NF_INET_LOCAL_OUT 3, NF_INET_POST_ROUTING 4. */
const PACKET_HOOKS: Readonly<Record<string, readonly number[]>> = { apparmor: [4], selinux: [2, 3, 4] };
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const NF_MAX_HOOKS = 5;
const STATIC_KEY_SIZE = 16;

/** struct static_key nf_hooks_needed[NFPROTO_NUMPROTO][NF_MAX_HOOKS]. */
function netfilterKeys(boot: BootContext, lsm: LsmState, states: KeyStates): void {
  const start = boot.kernel.symbolOffset('nf_hooks_needed');
  if (start === undefined) return;
  for (const [name, hooks] of Object.entries(PACKET_HOOKS)) {
    if (!lsm.enabled.has(name)) continue;
    for (const protocol of [NFPROTO_IPV4, NFPROTO_IPV6]) {
      for (const hook of hooks) states.set(start + (protocol * NF_MAX_HOOKS + hook) * STATIC_KEY_SIZE, true);
    }
  }
}

/** States of the keys that boot changes, as far as the profile tells; the profile's own `staticKeys` come last and win. */
export function staticKeyStates(boot: BootContext, entries: readonly JumpEntry[], lsm: LsmState): KeyStates {
  const states: KeyStates = new Map();
  const set = (name: string, isOn: boolean): void => {
    const key = boot.kernel.symbolOffset(name);
    if (key !== undefined) states.set(key, isOn);
  };
  for (const [name, isOn] of Object.entries(ALWAYS)) set(name, isOn);
  cpuKeys(boot, set, boot.cpu.flags);
  cmdlineKeys(boot, set);
  set('apic_use_ipi_shorthand', !isUniprocessor(boot) && !boot.cmdline.flag('no_ipi_broadcast'));
  if ((boot.cpu.threadsPerCore ?? 1) > 1) set('sched_smt_present', true);
  for (const [name, isOn] of boot.mitigations.staticKeys) set(name, isOn);
  set('bpf_pred_flush_enabled', boot.mitigations.bpfPredFlush);
  for (const key of lsm.activeKeys) states.set(key, true);
  netfilterKeys(boot, lsm, states);
  for (const entry of entries) {
    if (!initiallyEnabled(boot, entry.key)) continue;
    if (symbolAround(boot.kernel, entry.key)?.startsWith('___once_key') !== true) continue;
    if (ONCE_IN.includes(symbolAround(boot.kernel, entry.code) ?? '')) states.set(entry.key, false);
  }
  for (const [name, isOn] of Object.entries(boot.profile.staticKeys ?? {})) {
    if (!name.startsWith('X86_FEATURE_')) set(name, isOn);
  }
  return states;
}
