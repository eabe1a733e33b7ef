import type { KprobeRules } from '../../insn/index.ts';
import { type KernelFact, UNKNOWN, type Unknown } from './fact.ts';

export const KPROBE_INSNS: KernelFact<KprobeRules> = {
  name: 'kprobe.instructions',
  title: 'Which instructions take a kprobe, and which may run from a copy? (As 6.1 decides, or as 6.12.)',
  linux: 'can_probe and can_boost, arch/x86/kernel/kprobes/core.c',
  rules: ['kprobe.insn.not-a-boundary', 'kprobe.insn.not-copyable', 'kprobe.insn.not-emulatable'],
  values: [
    { since: '5.13', is: '6.1', source: 'source and recording of 6.1.192' },
    {
      since: '6.9',
      is: '6.12',
      source:
        'commits e884edbb844f "Prohibit kprobing on INT and UD" and 290eb13f1a65 "Boost more instructions from grp2/3/4/5"; recorded on 6.12',
    },
  ],
};

export const TRACEFS_SYMBOL_ERRNO: KernelFact<'EINVAL' | 'its own' | Unknown> = {
  name: 'kprobe.event.tracefs-symbol-errno',
  title: 'Which errno does tracefs answer for a symbol that is unknown or ambiguous?',
  linux: '__trace_kprobe_create, kernel/trace/trace_kprobe.c',
  rules: ['kprobe.event.unknown-symbol', 'kprobe.event.ambiguous-symbol'],
  values: [
    { since: '5.5', is: UNKNOWN, source: '5.15-stable was not read' },
    { since: '6.1', is: 'its own', source: 'recorded on 6.1.192' },
    { since: '6.6', is: UNKNOWN, source: '6.1 and 6.12 differ, and 6.6-stable was not read' },
    { since: '6.12', is: 'EINVAL', source: 'recorded on 6.12.117' },
    { since: '6.18', is: UNKNOWN, source: 'the source of 6.18 was not read' },
  ],
};

export const ARM_FAILURE_REPORTED: KernelFact<boolean> = {
  name: 'kprobe.arm-failure-reported',
  title: 'Does register_kprobe say so when the first probe of an address cannot be armed?',
  linux: '__register_kprobe, kernel/kprobes.c',
  rules: ['kprobe.arm.unreported'],
  values: [
    { since: '5.5', is: true, source: 'register_kprobe of 6.1.192 and 6.12.117; recorded on both' },
    {
      since: '6.14',
      is: false,
      source:
        'commit 54c79390119d "kprobes: Use guard() for external locks" drops the jump to the error return: the probe is taken from the table and 0 is returned; later sources have it so',
    },
  ],
};

export const INDIRECT_JUMPS_IN_FUNCTION: KernelFact<'any' | 'through memory'> = {
  name: 'kprobe.optimize.indirect-jumps',
  title: 'Which indirect jumps in a function keep its kprobes from becoming jumps?',
  linux: 'can_optimize and insn_is_indirect_jump, arch/x86/kernel/kprobes/opt.c',
  rules: ['kgdb.site.kprobe'],
  values: [
    { since: '5.5', is: 'any', source: 'source of 6.1: any indirect jump, and any jump to an indirect thunk' },
    {
      since: '6.6',
      is: 'through memory',
      source:
        'commit 833fd800bf56 "Skip optprobe check for indirect jumps with retpolines and IBT": a kernel with either has no jump tables; source of 6.12. A jump through memory is none that such a kernel has',
    },
  ],
};

export const KPROBE_FACTS = [
  INDIRECT_JUMPS_IN_FUNCTION,
  KPROBE_INSNS,
  TRACEFS_SYMBOL_ERRNO,
  ARM_FAILURE_REPORTED,
] as const;
