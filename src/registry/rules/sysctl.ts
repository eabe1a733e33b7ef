import type { Rule } from './rule.ts';

export const FTRACE_OFF_PERMANENT: Rule = {
  id: 'ftrace.off.permanent',
  title: 'ftrace is off, and this owner may not be silenced',
  errno: 'EBUSY',
  what: 'A PERMANENT ops (a livepatch; on 6.1 also a plain register_ftrace_direct) is refused while the sysctl kernel.ftrace_enabled is 0. Every other owner is granted and starts to run once the sysctl is 1 again.',
  why: 'While ftrace is off every site is a NOP. A livepatch that were granted would be loaded and would not run, so the function it repairs would still be broken and nobody would know.',
  linux: '__register_ftrace_function, kernel/trace/ftrace.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Switch ftrace on: `PUT /v1/sysctl/kernel.ftrace_enabled {"value": 1}`.'],
};

export const SYSCTL_FTRACE_PERMANENT: Rule = {
  id: 'sysctl.ftrace-enabled.permanent',
  title: 'ftrace may not be switched off while a livepatch is on',
  errno: 'EBUSY',
  what: 'Writing 0 to kernel.ftrace_enabled is refused while a PERMANENT ops is registered: a livepatch, or on 6.1 a plain register_ftrace_direct. Other owners do not stand in the way; their sites become NOPs.',
  why: 'A livepatch is a repair that has to stay. Before 5.5 the sysctl silently took it away.',
  linux: 'ftrace_enable_sysctl and is_permanent_ops_registered, kernel/trace/ftrace.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Detach the owners named as holders first.'],
};

export const SYSCTL_UNKNOWN: Rule = {
  id: 'sysctl.unknown',
  title: 'No such sysctl',
  errno: 'ENOENT',
  what: 'A sysctl is asked for that this service does not have.',
  why: 'Only those that decide what happens to kernel text are here.',
  linux: 'proc_sys_lookup, fs/proc/proc_sysctl.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['There are `kernel.ftrace_enabled` and `debug.kprobes-optimization`.'],
};

export const SYSCTL_VALUE: Rule = {
  id: 'sysctl.value.invalid',
  title: 'Not a value of this sysctl',
  errno: 'EINVAL',
  what: 'A sysctl is written with something else than 0 or 1.',
  why: 'Both are switches. Linux takes any number for kernel.ftrace_enabled and treats it as 1 when it is not 0.',
  linux: 'proc_dointvec_minmax, kernel/sysctl.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Write 0 or 1.'],
};

export const VIEW_UNKNOWN: Rule = {
  id: 'view.unknown',
  title: 'This kernel has no such file',
  errno: 'ENOENT',
  what: 'A file of tracefs or debugfs is asked for that the loaded kernel does not have: touched_functions came with 6.4.',
  why: 'An answer would be one that no host with this kernel gives.',
  linux: 'ftrace_init_dyn_tracefs, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['enabled_functions says who is attached now.'],
};

export const SYSCTL_RULES: readonly Rule[] = [
  FTRACE_OFF_PERMANENT,
  SYSCTL_FTRACE_PERMANENT,
  SYSCTL_UNKNOWN,
  SYSCTL_VALUE,
  VIEW_UNKNOWN,
];
