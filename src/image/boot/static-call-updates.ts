import type { BootContext } from './context.ts';
import { isKvmGuest } from './cpuinfo.ts';
import { readPointer } from './kernel-memory.ts';
import type { LsmState } from './lsm-calls.ts';

/** Functions of static calls that boot updates: offset of struct static_call_key → offset of the function, `null` for NULL. */
export type CallUpdates = Map<number, number | null>;

type PreemptMode = 'none' | 'voluntary' | 'full';

/** What __sched_dynamic_update (kernel/sched/core.c) makes of each call: a function's name, or null. */
const PREEMPT: Readonly<Record<PreemptMode, Readonly<Record<string, readonly string[] | null>>>> = {
  none: {
    cond_resched: ['__cond_resched'],
    might_resched: ['__static_call_return0'],
    preempt_schedule: null,
    preempt_schedule_notrace: null,
    irqentry_exit_cond_resched: null,
  },
  voluntary: {
    cond_resched: ['__cond_resched'],
    might_resched: ['__cond_resched'],
    preempt_schedule: null,
    preempt_schedule_notrace: null,
    irqentry_exit_cond_resched: null,
  },
  full: {
    cond_resched: ['__static_call_return0'],
    might_resched: ['__static_call_return0'],
    preempt_schedule: ['preempt_schedule_thunk', 'preempt_schedule'],
    preempt_schedule_notrace: ['preempt_schedule_notrace_thunk', 'preempt_schedule_notrace'],
    irqentry_exit_cond_resched: ['raw_irqentry_exit_cond_resched'],
  },
};

const MODES: readonly PreemptMode[] = ['none', 'voluntary', 'full'];

/**
 * CONFIG_PREEMPT_*: what preempt_dynamic_init passes to the update when the command line says nothing, read from the call in init text: `mov $mode,
 * %edi` or `xor %edi,%edi` right before it. A kernel that is fully preemptible by default makes no such call.
 */
function builtinPreemptMode(boot: BootContext): PreemptMode {
  const { kernel, text } = boot;
  const section = kernel.section('.init.text');
  const targets = ['__sched_dynamic_update', 'sched_dynamic_update'].map((name) => kernel.symbolOffset(name));
  if (section?.offset === undefined) return 'full';
  const { bytes, offset } = section;
  for (let at = bytes.indexOf(0xe8, 5); at >= 0 && at + 5 <= bytes.length; at = bytes.indexOf(0xe8, at + 1)) {
    const isMode = bytes[at - 5] === 0xbf || bytes[at - 2] === 0x31;
    if (!isMode) continue;
    if (!targets.includes(offset + at + 5 + text.s32(offset + at + 1))) continue;
    if (bytes[at - 2] === 0x31 && bytes[at - 1] === 0xff) return 'none';
    if (bytes[at - 5] === 0xbf && bytes[at - 4] === 1) return 'voluntary';
  }
  return 'full';
}

function preemptUpdates(boot: BootContext, set: (call: string, names: readonly string[] | null) => void): void {
  const { kernel, cmdline } = boot;
  if (kernel.symbolOffset('__SCK__cond_resched') === undefined) return;
  const asked = cmdline.value('preempt');
  const mode = MODES.find((name) => name === asked) ?? builtinPreemptMode(boot);
  // A lazily preemptible kernel (6.13) schedules as a full one in these five calls.
  for (const [call, names] of Object.entries(PREEMPT[asked === 'lazy' ? 'full' : mode])) set(call, names);
}

/** Callbacks of struct apic (arch/x86/include/asm/apic.h, 6.12) that have a static call, with their offsets. */
const APIC_CALLS: Readonly<Record<string, number>> = {
  eoi: 0x00,
  native_eoi: 0x08,
  write: 0x10,
  read: 0x18,
  wait_icr_idle: 0x20,
  send_IPI: 0x30,
  send_IPI_mask: 0x38,
  send_IPI_mask_allbutself: 0x40,
  send_IPI_allbutself: 0x48,
  send_IPI_all: 0x50,
  send_IPI_self: 0x58,
  icr_read: 0x70,
  icr_write: 0x78,
  wakeup_secondary_cpu: 0xb0,
  wakeup_secondary_cpu_64: 0xb8,
};

/** The driver: x2APIC where the CPU has it and interrupts can be remapped to it, which a plain virtual machine cannot do; else physical flat. */
function apicDriver(boot: BootContext): string {
  const { cpu, cmdline } = boot;
  const isKvm = isKvmGuest(cpu);
  const hasX2apic = cpu.flags.has('x2apic') && !cmdline.flag('nox2apic') && (isKvm || !cpu.flags.has('hypervisor'));
  if (!hasX2apic) return 'apic_physflat';
  return isKvm || cmdline.flag('x2apic_phys') ? 'apic_x2apic_phys' : 'apic_x2apic_cluster';
}

function apicUpdates(boot: BootContext, updates: CallUpdates): void {
  const { kernel } = boot;
  const driver = kernel.symbolOffset(apicDriver(boot));
  if (driver === undefined || kernel.symbolOffset('__SCK__apic_call_eoi') === undefined) return;
  if (boot.cmdline.flag('nolapic') || boot.cmdline.flag('disableapic') || !boot.cpu.flags.has('apic')) return;
  const eoi = readPointer(kernel, driver);
  for (const [name, at] of Object.entries(APIC_CALLS)) {
    const key = kernel.symbolOffset(`__SCK__apic_call_${name}`);
    const callback = readPointer(kernel, driver + at);
    if (key === undefined || callback === undefined) continue;
    // The driver's own eoi is kept where a hypervisor may put another one.
    const target = name === 'native_eoi' && callback === null && eoi !== undefined ? eoi : callback;
    if (target === null || boot.text.has(target, 1)) updates.set(key, target);
  }
}

/** select_idle_routine: HLT, or MWAIT on real CPUs that have C1 there (QEMU's MONITOR leaf says that there is none). */
function idleFunction(boot: BootContext): string {
  const { cpu, cmdline } = boot;
  const isOverridden = cmdline.value('idle') !== undefined;
  const canMwait = cpu.flags.has('monitor') && !cpu.bugs.has('monitor') && !cpu.bugs.has('apic_c1e');
  return canMwait && !isOverridden && !cpu.flags.has('hypervisor') ? 'mwait_idle' : 'default_idle';
}

/** Updates that follow from the machine, the command line and the security modules. */
export function staticCallUpdates(boot: BootContext, lsm: LsmState): CallUpdates {
  const { kernel } = boot;
  const updates: CallUpdates = new Map();
  const set = (call: string, names: readonly string[] | null): void => {
    const key = kernel.symbolOffset(`__SCK__${call}`);
    if (key === undefined) return;
    const target =
      names === null ? null : names.map((name) => kernel.symbolOffset(name)).find((offset) => offset !== undefined);
    if (target !== undefined) updates.set(key, target);
  };
  preemptUpdates(boot, set);
  apicUpdates(boot, updates);
  if (boot.cmdline.value('idle') !== 'poll') set('x86_idle', [idleFunction(boot)]);
  if (boot.mitigations.bpfPredFlush) set('bpf_arch_pred_flush', ['bpf_arch_ibpb']);
  for (const [key, target] of lsm.calls) updates.set(key, target);
  return updates;
}
