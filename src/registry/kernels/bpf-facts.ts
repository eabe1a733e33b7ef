import { type KernelFact, UNKNOWN, type Unknown } from './fact.ts';

/** A stable branch takes a change only when the newer ones have it, so what 6.1.192 lacks an older branch lacks, too. */
const NOT_IN_6_1 = '6.1.192 lacks it, and an older stable branch has no change that a newer one lacks';

export const TRAMPOLINE_PROGRAMS_MAX: KernelFact<number> = {
  name: 'bpf.trampoline.programs',
  title: 'How many BPF programs does the trampoline of a function take?',
  linux: 'BPF_MAX_TRAMP_PROGS, later BPF_MAX_TRAMP_LINKS, include/linux/bpf.h',
  rules: ['bpf.trampoline.too-many-programs'],
  values: [
    { since: '5.5', is: 40, source: 'include/linux/bpf.h before ca06f55b9002' },
    {
      since: '5.12',
      is: 38,
      source: 'commit ca06f55b9002 "bpf: Add per-program recursion prevention mechanism"; recorded on 6.1 and 6.12',
    },
  ],
};

export const TRAMPOLINE_WORDS_MAX: KernelFact<number> = {
  name: 'bpf.trampoline.words',
  title: 'How many words of arguments does a BPF trampoline save?',
  linux: 'arch_prepare_bpf_trampoline, arch/x86/net/bpf_jit_comp.c',
  rules: ['bpf.target.prototype'],
  values: [
    { since: '5.5', is: 6, source: 'source and recording of 6.1.192 (ENOTSUPP)' },
    {
      since: '6.6',
      is: 12,
      source: 'commit 473e3150e30a "bpf, x86: allow function arguments up to 12 for TRACING"; recorded on 6.12',
    },
  ],
};

export const TRAMPOLINE_STRUCTS: KernelFact<boolean> = {
  name: 'bpf.trampoline.structures',
  title: 'Does a BPF trampoline take functions with structures of up to 16 bytes as arguments?',
  linux: 'btf_distill_func_proto, kernel/bpf/btf.c',
  rules: ['bpf.target.prototype'],
  values: [
    { since: '5.5', is: false, source: '"bpf: x86: Support in-register struct arguments" came with 6.1' },
    { since: '6.1', is: true, source: 'btf_distill_func_proto of 6.1.192' },
  ],
};

export const RCU_READ_LOCK: KernelFact<'denied' | 'hangs' | Unknown> = {
  name: 'bpf.deny-list.rcu-read-lock',
  title: 'What happens to a BPF tracing program on __rcu_read_lock or __rcu_read_unlock?',
  linux: 'btf_id_deny, kernel/bpf/verifier.c',
  rules: ['bpf.target.deny-list', 'bpf.target.hangs'],
  values: [
    {
      since: '5.5',
      is: UNKNOWN,
      source: `the deny list does not have them (${NOT_IN_6_1}); what a machine then does was recorded on 6.1 only`,
    },
    { since: '6.1', is: 'hangs', source: 'btf_id_deny of 6.1.192 lacks them; the machine hung in three of three' },
    {
      since: '6.6',
      is: 'denied',
      source:
        '"bpf: Add __rcu_read_{lock,unlock} into btf id deny list" of April 2023; source and recording of 6.12.117',
    },
  ],
};

export const NORETURN_REFUSED: KernelFact<boolean> = {
  name: 'bpf.target.noreturn-refused',
  title: 'Are fexit and fmod_ret refused at functions that never return?',
  linux: 'noreturn_deny in check_attach_btf_id, kernel/bpf/verifier.c',
  rules: ['bpf.target.noreturn'],
  values: [
    { since: '5.5', is: false, source: `recorded on 6.1; ${NOT_IN_6_1}` },
    {
      since: '6.6',
      is: true,
      source:
        'commit cfe816d469dc (6.15), in 6.6-stable since April 2025 (review mail) and in 6.12-stable; recorded on 6.12',
    },
  ],
};

export const LARGE_RETURN_REFUSED: KernelFact<boolean | Unknown> = {
  name: 'bpf.target.large-return-refused',
  title: 'Are fexit and fmod_ret refused at functions that return more than 8 bytes?',
  linux: 'attach_uses_trampoline_retval in bpf_check_attach_target, kernel/bpf/verifier.c',
  rules: ['bpf.target.return-too-large'],
  values: [
    { since: '5.5', is: false, source: `recorded on 6.1; ${NOT_IN_6_1}` },
    { since: '6.6', is: UNKNOWN, source: 'only 6.12.117 is known to have the check' },
    { since: '6.12.117', is: true, source: 'source and recording of 6.12.117' },
    { since: '6.13', is: UNKNOWN, source: 'only 6.12.117 is known to have the check' },
  ],
};

export const FMOD_RET_ID_SETS: KernelFact<boolean> = {
  name: 'bpf.fmod_ret.id-sets',
  title: 'Do BTF id sets allow fmod_ret and sleepable programs, besides error injection?',
  linux: 'check_attach_modify_return, kernel/bpf/verifier.c',
  rules: ['bpf.target.not-modifiable', 'bpf.target.not-sleepable'],
  values: [
    { since: '5.7', is: false, source: 'check_attach_modify_return of 6.1.192; recorded on 6.1' },
    {
      since: '6.3',
      is: true,
      source:
        'commit 5b481acab4ce "bpf: do not rely on ALLOW_ERROR_INJECTION for fmod_ret" (6.3); source and recording of 6.12.117',
    },
  ],
};

export const LSM_HOOKS_DISABLED: KernelFact<boolean | Unknown> = {
  name: 'bpf.lsm.hooks-disabled',
  title: 'Are there LSM hooks that BPF must not answer?',
  linux: 'bpf_lsm_disabled_hooks, kernel/bpf/bpf_lsm.c',
  rules: ['bpf.lsm.hook-disabled'],
  values: [
    {
      since: '5.7',
      is: UNKNOWN,
      source: 'the list came with 6.12 and went to stable branches; 5.15-stable was not read',
    },
    { since: '6.1', is: true, source: 'bpf_lsm_disabled_hooks of 6.1.192: as 6.12.117 but for getselfattr' },
    { since: '6.6', is: UNKNOWN, source: '6.6-stable was not read' },
    { since: '6.12', is: true, source: 'bpf_lsm_disabled_hooks of 6.12.117' },
  ],
};

export const TRACING_NESTS: KernelFact<'never' | 'once' | Unknown> = {
  name: 'bpf.program.tracing-nests',
  title: 'May a BPF tracing program be attached to a tracing program?',
  linux: 'bpf_check_attach_target, kernel/bpf/verifier.c',
  rules: ['bpf.program.recursive', 'bpf.program.nested'],
  values: [
    { since: '5.5', is: 'never', source: `bpf_check_attach_target of 6.1.192; recorded on 6.1; ${NOT_IN_6_1}` },
    { since: '6.6', is: UNKNOWN, source: 'only 6.1.192 and 6.12.117 were read' },
    { since: '6.12', is: 'once', source: 'bpf_check_attach_target of 6.12.117; recorded on 6.12' },
  ],
};

export const LSM_SLEEPABLE_HOOKS: KernelFact<'6.1' | '6.12' | Unknown> = {
  name: 'bpf.lsm.sleepable-hooks',
  title: 'Whose list of LSM hooks with sleepable programs does the kernel have?',
  linux: 'sleepable_lsm_hooks, kernel/bpf/bpf_lsm.c',
  rules: ['bpf.target.not-sleepable'],
  values: [
    { since: '5.10', is: UNKNOWN, source: 'the list of 5.15-stable was not read' },
    { since: '6.1', is: '6.1', source: 'sleepable_lsm_hooks of 6.1.192' },
    { since: '6.6', is: UNKNOWN, source: 'the list of 6.6-stable was not read' },
    { since: '6.12', is: '6.12', source: 'sleepable_lsm_hooks of 6.12.117' },
    { since: '6.13', is: UNKNOWN, source: 'no list after that of 6.12.117 was read' },
  ],
};

export const RAW_TRACEPOINT_COOKIES: KernelFact<boolean> = {
  name: 'bpf.raw-tracepoint.cookies',
  title: 'Do links of raw_tracepoint and tp_btf programs have cookies?',
  linux: 'bpf_raw_tp_link_attach, kernel/bpf/syscall.c; raw_tp_prog_func_proto, kernel/trace/bpf_trace.c',
  rules: ['tracepoint.program.cookie', 'bpf.helper.unknown'],
  values: [
    { since: '5.5', is: false, source: `bpf_raw_tracepoint_open of 6.1.192; ${NOT_IN_6_1}` },
    {
      since: '6.10',
      is: true,
      source:
        'commit 68ca5d4eebb8 "bpf: support BPF cookie in raw tracepoint (raw_tp, tp_btf) programs" (6.10); source of 6.12.117',
    },
  ],
};

export const BPF_FACTS = [
  TRAMPOLINE_PROGRAMS_MAX,
  TRAMPOLINE_WORDS_MAX,
  TRAMPOLINE_STRUCTS,
  RCU_READ_LOCK,
  NORETURN_REFUSED,
  LARGE_RETURN_REFUSED,
  FMOD_RET_ID_SETS,
  LSM_HOOKS_DISABLED,
  TRACING_NESTS,
  LSM_SLEEPABLE_HOOKS,
  RAW_TRACEPOINT_COOKIES,
] as const;
