import type { Rule } from './rule.ts';

export const TRACEPOINT_UNKNOWN: Rule = {
  id: 'tracepoint.name.unknown',
  title: 'No such tracepoint',
  errno: 'ENOENT',
  what: 'A target of tracepoint is not the name of one, as in `sched_switch`.',
  why: 'A tracepoint is a `__tracepoint_NAME` of the kernel with its own static key and static call.',
  linux: 'bpf_raw_tp_link_attach, kernel/bpf/syscall.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Name it without its group: `sched_switch`, not `sched:sched_switch`.'],
};

export const TRACEPOINT_PROBE: Rule = {
  id: 'tracepoint.probe.not-text',
  title: 'The probe of a tracepoint is not kernel text',
  errno: 'EINVAL',
  what: 'Option `probe` of tracepoint is not a place in kernel text.',
  why: 'The tracepoint calls it. Linux refuses NULL with EINVAL and trusts everything else.',
  linux: 'func_add, kernel/tracepoint.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Leave `probe` out for a probe that counts.'],
};

export const TRACEPOINT_RAW: Rule = {
  id: 'tracepoint.program.raw',
  title: 'A tracepoint that raw programs cannot be attached to',
  errno: 'ENOENT',
  what: 'A program of type raw_tracepoint or tp_btf is attached to a tracepoint without a function for raw programs, or whose arguments BTF does not tell.',
  why: 'Such programs are called through that function, with the arguments as 64-bit words.',
  linux: 'bpf_get_raw_tracepoint, kernel/trace/bpf_trace.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Attach a kprobe or fentry program to the function that has the tracepoint.'],
};

export const TRACEPOINT_EVENT: Rule = {
  id: 'tracepoint.program.event',
  title: 'An event whose record is not known here',
  errno: 'EOPNOTSUPP',
  what: 'A program of type tracepoint is attached to a tracepoint that is no event of perf, or whose record BTF does not have.',
  why: 'Its context is the record that the event writes. The probe that writes it and the layout are those of the class of the event, which the kernel’s table of events tells; events of modules are looked for by their name.',
  linux: 'perf_event_set_bpf_prog, kernel/events/core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Load it as raw_tracepoint or tp_btf, which read the arguments of the tracepoint.'],
};

export const TRACEPOINT_CONTEXT: Rule = {
  id: 'tracepoint.program.context',
  title: 'A program reads more than its tracepoint has',
  errno: 'EACCES',
  what: 'A program reads its context beyond the last argument of the tracepoint (EINVAL), or beyond the last field of the event (EACCES).',
  why: 'The verifier does not know the tracepoint of such a program; how far it reads is compared when it is attached.',
  linux: '__bpf_probe_register, kernel/trace/bpf_trace.c; perf_event_set_bpf_prog, kernel/events/core.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Attach it to the tracepoint that it was written for.'],
};

export const TRACEPOINT_COOKIE: Rule = {
  id: 'tracepoint.program.cookie',
  title: 'A cookie that nobody would read',
  errno: 'EINVAL',
  what: 'Option `cookie` is given to a tracepoint without a program, or to a program of type raw_tracepoint or tp_btf before Linux 6.10.',
  why: 'A cookie is what bpf_get_attach_cookie answers in the program. BPF_RAW_TRACEPOINT_OPEN had no field for one before 6.10, and refuses what it does not know.',
  linux: 'bpf_raw_tracepoint_open, kernel/bpf/syscall.c (6.1, 6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Leave the cookie out, and tell the attachments apart by a program for each.'],
};

export const TRACEPOINT_RULES: readonly Rule[] = [
  TRACEPOINT_UNKNOWN,
  TRACEPOINT_PROBE,
  TRACEPOINT_RAW,
  TRACEPOINT_EVENT,
  TRACEPOINT_CONTEXT,
  TRACEPOINT_COOKIE,
];
