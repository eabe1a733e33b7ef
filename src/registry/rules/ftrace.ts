import type { Rule } from './rule.ts';

export const FTRACE_DISABLED: Rule = {
  id: 'ftrace.disabled',
  title: 'ftrace has shut itself down',
  errno: 'ENODEV',
  what: 'Every registration, unregistration and filter change of ftrace is refused: kprobes at function entries, ftrace ops, direct calls and BPF trampolines.',
  why: 'Before ftrace rewrites a site it compares the bytes there with what its own records say must be there. Once they differed, so ftrace no longer knows what it would overwrite. Linux then disables ftrace for good, for the whole system, and freezes every site as it is.',
  linux: 'ftrace_startup, ftrace_shutdown, ftrace_set_hash after ftrace_bug, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'linux',
  remedies: ['Reset the image (`POST /v1/image/reset?all=true`); a real machine has to reboot.'],
};

export const FTRACE_UNAVAILABLE: Rule = {
  id: 'ftrace.unavailable',
  title: 'This kernel has no ftrace callers',
  errno: 'EOPNOTSUPP',
  what: 'An owner that needs ftrace is refused because the image has no ftrace_caller and ftrace_regs_caller, or lacks the function that the owner would have called (kprobe_ftrace_handler, function_trace_call, ftrace_graph_func, klp_ftrace_handler).',
  why: 'Without CONFIG_DYNAMIC_FTRACE_WITH_REGS there is no code that a patched site could call.',
  linux: 'CONFIG_DYNAMIC_FTRACE_WITH_REGS, arch/x86/Kconfig (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Load a kernel built with CONFIG_FUNCTION_TRACER and CONFIG_KPROBES_ON_FTRACE.'],
};

export const FTRACE_NOT_A_SITE: Rule = {
  id: 'ftrace.filter.not-a-site',
  title: 'No ftrace site at this place',
  errno: 'EINVAL',
  what: 'An ftrace filter, a direct call or a BPF trampoline names an address that is neither a byte of an ftrace site nor the first byte of a function that has one.',
  why: 'ftrace only manages the places that the compiler left for it (`__mcount_loc`). A function marked notrace, a function inlined everywhere, assembly code and addresses inside a function body have none.',
  linux: 'ftrace_location from __ftrace_match_addr, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['List functions that have a site with `GET /v1/symbols?attachable=ftrace`.'],
};

export const FTRACE_FILTER_NO_MATCH: Rule = {
  id: 'ftrace.filter.no-match',
  title: 'The pattern matches no function with an ftrace site',
  errno: 'EINVAL',
  what: 'An ftrace filter pattern matches nothing that ftrace could trace.',
  why: 'A filter that matched nothing would leave the ops with an empty filter, and an empty filter means every function.',
  linux: 'ftrace_match_records from ftrace_set_hash, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Try the pattern on `GET /v1/symbols?match=…&attachable=ftrace` first.'],
};

export const FTRACE_FILTER_ABSENT: Rule = {
  id: 'ftrace.filter.absent',
  title: 'The site is not in the filter',
  errno: 'ENOENT',
  what: 'A site is to be taken from an ops that does not filter on it.',
  why: 'Linux reaches this when the same probe site was armed through one shared ops and is disarmed through the other.',
  linux: '__ftrace_match_addr, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'linux',
  remedies: [],
};

export const FTRACE_IPMODIFY_EXCLUSIVE: Rule = {
  id: 'ftrace.ipmodify.exclusive',
  title: 'Only one owner may change the instruction pointer at a site',
  errno: 'EBUSY',
  what: 'An ftrace ops with IPMODIFY (a livepatch, a kprobe with a post_handler, an ops that asks for it) is refused at a site where another ops with IPMODIFY is attached.',
  why: 'After the callbacks ran, the function goes on at regs->ip. Two owners that both set it would overwrite each other, and the order of registration would silently choose the winner. So Linux lets one ops claim a site and refuses the next.',
  linux: '__ftrace_hash_update_ipmodify, kernel/trace/ftrace.c (6.12)',
  range: '3.19+',
  strictness: 'both',
  remedies: ['If the owner is a kprobe, drop its post_handler: without one it needs no IPMODIFY.'],
};

export const FTRACE_IPMODIFY_EMPTY_FILTER: Rule = {
  id: 'ftrace.ipmodify.empty-filter',
  title: 'IPMODIFY and direct ops must name their functions',
  errno: 'EINVAL',
  what: 'An ops with IPMODIFY or a direct call is refused when its filter is empty, because an empty filter means every function.',
  why: 'Both depend on the function they are attached to; neither makes sense for all functions at once.',
  linux: '__ftrace_hash_update_ipmodify, kernel/trace/ftrace.c (6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Name at least one function.'],
};

export const FTRACE_DIRECT_EXCLUSIVE: Rule = {
  id: 'ftrace.direct.exclusive',
  title: 'Only one direct call per function',
  errno: 'EBUSY',
  what: 'A direct call (register_ftrace_direct, or the BPF trampoline of fentry, fexit and fmod_ret) is refused at a function that has one already.',
  why: 'The site calls the direct trampoline itself and there is one call instruction, so there is one direct owner. All BPF programs of a function share one trampoline and count as one owner; a direct call registered by somebody else cannot join it.',
  linux: 'register_ftrace_direct, kernel/trace/ftrace.c (6.12)',
  range: '5.5+',
  strictness: 'both',
  remedies: ['Use an ordinary ftrace ops or a kprobe: those chain with a direct call.'],
};

export const FTRACE_DIRECT_NOT_SHARING: Rule = {
  id: 'ftrace.direct.not-sharing',
  title: 'This direct call cannot share its function with IPMODIFY',
  errno: 'EBUSY',
  what: 'A direct call without an ops_func and an IPMODIFY owner meet at one function; whichever comes second is refused.',
  why: 'A direct trampoline returns to a fixed place in the function while an IPMODIFY owner sends the function elsewhere. Linux lets them share only if the direct owner says through its ops_func that it can cope. BPF trampolines do; a plain register_ftrace_direct does not.',
  linux: '__ftrace_hash_update_ipmodify and prepare_direct_functions_for_ipmodify, kernel/trace/ftrace.c (6.12)',
  range: '6.0+',
  strictness: 'both',
  remedies: ['Register the direct call with an ops_func (`sharesIpmodify: true`) or use a BPF trampoline (fentry).'],
};

export const FTRACE_DIRECT_CLAIMS_IPMODIFY: Rule = {
  id: 'ftrace.direct.claims-ipmodify',
  title: 'Before 6.0 a direct call claims the instruction pointer',
  errno: 'EBUSY',
  what: 'A direct call (register_ftrace_direct, or the BPF trampoline of fentry, fexit and fmod_ret) and an IPMODIFY owner (a livepatch, a kprobe with a post_handler, an ops that asks for it) meet at one function; whichever comes second is refused.',
  why: 'Up to 5.19 the ftrace_ops of direct calls carries the IPMODIFY flag itself, and a site takes one of those. So a livepatched function cannot be traced by BPF trampolines, nor the other way round. 6.0 took the flag away and asks the direct owner instead.',
  linux: '__ftrace_hash_update_ipmodify and direct_ops, kernel/trace/ftrace.c (before 53cd885bc5c3)',
  range: '5.5 to 5.19',
  strictness: 'both',
  remedies: ['Trace with a kprobe without a post_handler or with an ordinary ftrace ops: those chain with both.'],
};

export const FTRACE_DIRECT_NO_OPS_FUNC: Rule = {
  id: 'ftrace.direct.no-ops-func',
  title: 'Direct calls of this kernel have no ops_func',
  errno: 'EOPNOTSUPP',
  what: 'A direct call that asks for `sharesIpmodify` is refused on kernels before 6.0.',
  why: 'The callback by which the owner of a direct call agrees to share its function came with 6.0. Before, there is nobody to ask and nothing to agree to.',
  linux: 'struct ftrace_ops, include/linux/ftrace.h: ops_func since 53cd885bc5c3',
  range: '5.5 to 5.19',
  strictness: 'both',
  remedies: ['Leave `sharesIpmodify` out.'],
};

export const FTRACE_GRAPH_BUSY: Rule = {
  id: 'ftrace.graph.busy',
  title: 'The function-graph tracer has all the users it takes',
  errno: 'EBUSY',
  what: 'A function-graph tracer is refused because another one is attached (before 6.11), or (ENOSPC) because sixteen are. From 6.14 on all fprobes together count as one.',
  why: 'A traced function keeps one word for its tracers on a stack of return addresses. Before 6.11 there was room for one tracer; since then there are sixteen places.',
  linux: 'register_ftrace_graph, kernel/trace/fgraph.c (6.1 and 6.12)',
  range: 'all',
  strictness: 'both',
  remedies: ['Detach a tracer named as holder, or use the function tracer.'],
};

export const FTRACE_PEER_NOT_ASKED: Rule = {
  id: 'ftrace.ipmodify.peer-not-asked',
  title: 'Linux would not ask the direct owner',
  errno: 'EBUSY',
  what: 'A kprobe with a post_handler is refused at a function whose direct call cannot share, although Linux accepts it when another such kprobe is already registered elsewhere.',
  why: 'Linux asks direct owners only when an IPMODIFY ops is registered. Kprobes share one such ops, so the second probe only enlarges its filter and nobody is asked. The direct call and the IPMODIFY owner then meet unprepared. Safe strictness asks every time.',
  linux: '__arm_kprobe_ftrace, kernel/kprobes.c, and ftrace_hash_ipmodify_update, kernel/trace/ftrace.c (6.12): a gap',
  range: '6.0+',
  strictness: 'safe',
  remedies: ['Drop the post_handler, or register the direct call with an ops_func (`sharesIpmodify: true`).'],
};

export const FTRACE_RULES: readonly Rule[] = [
  FTRACE_DISABLED,
  FTRACE_UNAVAILABLE,
  FTRACE_NOT_A_SITE,
  FTRACE_FILTER_NO_MATCH,
  FTRACE_FILTER_ABSENT,
  FTRACE_IPMODIFY_EXCLUSIVE,
  FTRACE_IPMODIFY_EMPTY_FILTER,
  FTRACE_DIRECT_EXCLUSIVE,
  FTRACE_DIRECT_NOT_SHARING,
  FTRACE_DIRECT_CLAIMS_IPMODIFY,
  FTRACE_DIRECT_NO_OPS_FUNC,
  FTRACE_GRAPH_BUSY,
  FTRACE_PEER_NOT_ASKED,
];
