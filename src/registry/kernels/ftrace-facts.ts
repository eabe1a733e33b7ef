import { type KernelFact, UNKNOWN, type Unknown } from './fact.ts';

export const DIRECT_MEETS_IPMODIFY: KernelFact<'never' | 'when its owner agrees'> = {
  name: 'ftrace.direct.meets-ipmodify',
  title: 'May a direct call and an owner that changes the instruction pointer (IPMODIFY) be at one function?',
  linux: '__ftrace_hash_update_ipmodify, kernel/trace/ftrace.c',
  rules: [
    'ftrace.direct.claims-ipmodify',
    'ftrace.direct.not-sharing',
    'ftrace.ipmodify.peer-not-asked',
    'bpf.trampoline.ipmodify-order',
  ],
  values: [
    {
      since: '5.5',
      is: 'never',
      source: 'direct_ops and MULTI_FLAGS carry FTRACE_OPS_FL_IPMODIFY themselves, as the diff of 53cd885bc5c3 shows',
    },
    {
      since: '6.0',
      is: 'when its owner agrees',
      source:
        'commit 53cd885bc5c3 "ftrace: Allow IPMODIFY and DIRECT ops on the same function"; recorded on 6.1 and 6.12',
    },
  ],
};

export const DIRECT_OPS: KernelFact<'one for all' | 'one for register_ftrace_direct' | 'one for each'> = {
  name: 'ftrace.direct.ops',
  title: 'Which ftrace_ops does a direct call have? The shared one, direct_ops, is PERMANENT.',
  linux: 'register_ftrace_direct, register_ftrace_direct_multi, kernel/trace/ftrace.c',
  rules: ['ftrace.off.permanent', 'ftrace.direct.no-ops-func', 'ftrace.filter.not-a-site'],
  values: [
    {
      since: '5.5',
      is: 'one for all',
      source:
        'register_fentry of kernel/bpf/trampoline.c calls register_ftrace_direct(ip, addr); direct_ops is PERMANENT (7162431dcf72)',
    },
    {
      since: '6.0',
      is: 'one for register_ftrace_direct',
      source:
        'commit 00963a2e75a8: BPF trampolines have ops of their own and register_ftrace_direct_multi; source and recording of 6.1.192',
    },
    {
      since: '6.4',
      is: 'one for each',
      source:
        'register_ftrace_direct(struct ftrace_ops *, addr): no longer at 6.2, there at 6.5 by their debug info; source and recording of 6.12.117',
    },
  ],
};

export const MODIFY_DIRECT: KernelFact<'asks' | 'does not ask' | 'asks and forgets the function' | Unknown> = {
  name: 'ftrace.direct.modify',
  title: 'Does a direct call that gets another target beside an IPMODIFY owner ask for room first?',
  linux: 'modify_ftrace_direct, kernel/trace/ftrace.c; bpf_trampoline_update, kernel/bpf/trampoline.c',
  rules: ['bpf.trampoline.ipmodify-order'],
  values: [
    {
      since: '6.0',
      is: 'does not ask',
      source: 'message of 3e9a18e1c3e9: afterwards the original runs, not the livepatch',
    },
    {
      since: '6.1.160',
      is: 'asks and forgets the function',
      source:
        '6.1-stable took 3e9a18e1c3e9 (review mail of 9 January 2026) without 56b3c85e153b: bpf_trampoline_update still clears ops->func before it tries again; source and recording of 6.1.192',
    },
    {
      since: '6.2',
      is: 'does not ask',
      source: 'message of 3e9a18e1c3e9, which is not in these releases',
    },
    {
      since: '6.6',
      is: UNKNOWN,
      source:
        'both fixes came to 6.6-stable in late 2025; which point releases have only one of them was not established',
    },
    {
      since: '6.6.130',
      is: 'asks',
      source: '6.6-stable review mails of 56b3c85e153b (27 November 2025) and of 3e9a18e1c3e9',
    },
    { since: '6.7', is: 'does not ask', source: 'message of 3e9a18e1c3e9, which is not in these releases' },
    {
      since: '6.12',
      is: UNKNOWN,
      source: 'both fixes came to 6.12-stable before 6.12.117; which point release has which was not established',
    },
    {
      since: '6.12.117',
      is: 'asks',
      source: 'source and recording of 6.12.117; commits 56b3c85e153b and 3e9a18e1c3e9',
    },
    { since: '6.13', is: 'does not ask', source: 'message of 3e9a18e1c3e9, which is not in these releases' },
    { since: '6.18', is: 'asks', source: 'commits 56b3c85e153b and 3e9a18e1c3e9 are in 6.18' },
  ],
};

export const RETRY_DIRECT: KernelFact<'works' | 'EBUSY' | Unknown> = {
  name: 'ftrace.direct.retry',
  title: 'Can a direct call that was refused with EAGAIN be registered again? fexit beside an IPMODIFY owner needs it.',
  linux: 'register_ftrace_direct, kernel/trace/ftrace.c',
  rules: ['bpf.trampoline.retry-busy'],
  values: [
    { since: '6.0', is: 'works', source: 'register_ftrace_direct_multi of 6.1.192; recorded on 6.1' },
    {
      since: '6.6',
      is: UNKNOWN,
      source: 'd05cb470663a went to 6.6-stable; which point release took it was not established',
    },
    { since: '6.6.118', is: 'works', source: '6.6-stable review mail of 56b3c85e153b, 27 November 2025' },
    { since: '6.7', is: 'EBUSY', source: 'commit 56b3c85e153b says what d05cb470663a broke' },
    {
      since: '6.12.1',
      is: UNKNOWN,
      source: '56b3c85e153b came to 6.12-stable before 6.12.117; in which point release was not established',
    },
    { since: '6.12.117', is: 'works', source: 'reset_direct of 6.12.117; recorded on 6.12' },
    { since: '6.13', is: 'EBUSY', source: 'commit 56b3c85e153b says what d05cb470663a broke' },
    { since: '6.18', is: 'works', source: 'commit 56b3c85e153b "ftrace: Fix BPF fexit with livepatch" is in 6.18' },
  ],
};

export const ENABLED_FUNCTIONS: KernelFact<'6.1' | '6.12'> = {
  name: 'ftrace.listings',
  title: 'What do the listings of ftrace have? (As 6.1, without O and M and touched_functions, or as 6.12.)',
  linux: 't_show, kernel/trace/ftrace.c',
  rules: ['view.unknown'],
  values: [
    { since: '5.5', is: '6.1', source: 'recorded on 6.1.192' },
    {
      since: '6.4',
      is: '6.12',
      source: 'recorded on 6.12.117; not everything may have been there at once after 6.1',
    },
  ],
};

export const GRAPH_TRACERS_MAX: KernelFact<number> = {
  name: 'ftrace.graph.tracers',
  title: 'How many users may the function-graph tracer have at a time?',
  linux: 'register_ftrace_graph, kernel/trace/fgraph.c',
  rules: ['ftrace.graph.busy'],
  values: [
    { since: '5.5', is: 1, source: 'register_ftrace_graph of 6.1.192: a second one is EBUSY' },
    {
      since: '6.11',
      is: 16,
      source: 'FGRAPH_ARRAY_SIZE, kernel/trace/fgraph.c (6.12); several users came with 6.11',
    },
  ],
};

export const GRAPH_CALLBACK: KernelFact<'ftrace_stub' | 'ftrace_graph_func'> = {
  name: 'ftrace.graph.callback',
  title: 'What does the ftrace_ops of the function-graph tracer call?',
  linux: 'graph_ops, kernel/trace/fgraph.c',
  rules: ['ftrace.unavailable'],
  values: [
    {
      since: '5.5',
      is: 'ftrace_stub',
      source: 'the shared caller jumps to ftrace_graph_caller behind the callbacks; removed by 0c0593b45c9b',
    },
    {
      since: '5.16',
      is: 'ftrace_graph_func',
      source: 'commit 0c0593b45c9b "x86/ftrace: Make function graph use ftrace directly"; source of 6.1.192',
    },
  ],
};

export const FPROBE: KernelFact<'none' | 'an ops for each' | 'the function-graph tracer'> = {
  name: 'fprobe.stands-on',
  title: 'What do fprobe, kprobe.multi and kretprobe.multi stand on?',
  linux: 'register_fprobe, kernel/trace/fprobe.c',
  rules: ['fprobe.unavailable'],
  values: [
    { since: '5.5', is: 'none', source: 'kernel/trace/fprobe.c came with 5.18' },
    { since: '5.18', is: 'an ops for each', source: 'commit cad9931f64dc; source and recording of 6.12.117' },
    {
      since: '6.14',
      is: 'the function-graph tracer',
      source: 'commit 4346ba160409 "fprobe: Rewrite fprobe on function-graph tracer"',
    },
  ],
};

export const FTRACE_FACTS = [
  DIRECT_MEETS_IPMODIFY,
  DIRECT_OPS,
  MODIFY_DIRECT,
  RETRY_DIRECT,
  ENABLED_FUNCTIONS,
  GRAPH_TRACERS_MAX,
  GRAPH_CALLBACK,
  FPROBE,
] as const;
