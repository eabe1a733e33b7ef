import type { Rule } from './rule.ts';

export const FPROBE_UNAVAILABLE: Rule = {
  id: 'fprobe.unavailable',
  title: 'This kernel has no fprobe',
  errno: 'EOPNOTSUPP',
  what: 'fprobe, kprobe_multi and kretprobe_multi are refused on a kernel built without CONFIG_FPROBE.',
  why: 'They stand on fprobe, and its handler is not in the kernel’s text (Debian’s 6.1 cloud kernel, for example).',
  linux: 'bpf_kprobe_multi_link_attach, kernel/trace/bpf_trace.c (6.12): the stub without CONFIG_FPROBE',
  range: '5.18+',
  strictness: 'both',
  remedies: ['Use kprobes, one for each function.'],
};

export const FPROBE_SYMBOL: Rule = {
  id: 'fprobe.symbol.not-traceable',
  title: 'A name that fprobe cannot trace',
  errno: 'ENOENT',
  what: 'An fprobe is refused when one of its names is unknown or is not a function with an ftrace site.',
  why: 'fprobe resolves all names at once and takes only those that ftrace manages.',
  linux: 'get_ftrace_locations, kernel/trace/fprobe.c (6.12)',
  range: '5.18+',
  strictness: 'both',
  remedies: ['List functions that have a site with `GET /v1/symbols?attachable=ftrace`.'],
};

export const KPROBE_MULTI_SYMBOL: Rule = {
  id: 'kprobe_multi.symbol.not-traceable',
  title: 'A name that kprobe.multi cannot trace',
  errno: 'ESRCH',
  what: 'A kprobe.multi link is refused when one of its names is unknown or is not a function with an ftrace site. `index` says which.',
  why: 'The link resolves all names in one pass over kallsyms and wants each to be found at a traceable place.',
  linux: 'ftrace_lookup_symbols, kernel/trace/ftrace.c (6.12)',
  range: '5.18+',
  strictness: 'both',
  remedies: ['List functions that have a site with `GET /v1/symbols?attachable=ftrace`.'],
};

export const FPROBE_RULES: readonly Rule[] = [FPROBE_UNAVAILABLE, FPROBE_SYMBOL, KPROBE_MULTI_SYMBOL];
