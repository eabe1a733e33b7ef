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

export const TRACEPOINT_RULES: readonly Rule[] = [TRACEPOINT_UNKNOWN, TRACEPOINT_PROBE];
