import type { Rule } from './rule.ts';

/** What the thread of October 2019 proposed and Linux did not take: docs/variants.md. */
const OURS = { range: 'all', strictness: 'both' } as const;

export const FTRACE_CHANGES_STACK: Rule = {
  ...OURS,
  id: 'ftrace.changes-stack.not-taken',
  title: 'Linux did not take a flag for callbacks that change the stack',
  errno: 'EOPNOTSUPP',
  what: 'An ftrace ops that asks for `changesStack` is refused, unless the service was started with its variants (`--variants`).',
  why: 'The thread of October 2019 proposed two flags: one for callbacks that only change the instruction pointer, which is IPMODIFY, and one for callbacks that also change the stack, so that they could emulate a call with the same arguments. Linux took direct calls instead: the site calls the trampoline itself, which can do to the stack what it likes, and callbacks keep to registers.',
  linux: 'register_ftrace_direct, kernel/trace/ftrace.c (5.5), was taken instead',
  remedies: [
    'Use a direct call (`ftrace_direct`) or a BPF trampoline (`fentry`, `fexit`).',
    'Start the service with `--variants` to try what was proposed.',
  ],
};

export const FTRACE_CHANGES_STACK_ALONE: Rule = {
  ...OURS,
  id: 'ftrace.changes-stack.alone',
  title: 'A callback that changes the stack is alone at its site',
  errno: 'EBUSY',
  what: 'A variant of this service: an ops with `changesStack` does not share a site with any other owner that ftrace serves, in whatever order they come.',
  why: 'Only its own trampoline leaves room on the stack and goes on with the stack pointer that the callback left. With a second owner the site would call ftrace_caller, whose frame is another one and which returns on the stack it found.',
  linux:
    'no counterpart: Linux has no such ops; its callers are ftrace_caller and ftrace_regs_caller, arch/x86/kernel/ftrace_64.S (6.12)',
  remedies: ['Detach the other owner first.', 'Use a direct call (`ftrace_direct`), which shares its site.'],
};

export const KPROBE_FULL_REGS: Rule = {
  ...OURS,
  id: 'kprobe.full-regs.not-taken',
  title: 'A kprobe of Linux gets all registers',
  errno: 'EOPNOTSUPP',
  what: 'A kprobe that asks for `fullRegs: false` is refused, unless the service was started with its variants (`--variants`).',
  why: 'The thread of October 2019 wanted kprobes and livepatches at function entries to stop paying for a full struct pt_regs. Linux kept the kprobe’s interface, whose handlers may read and change every register, and took other owners for those who need arguments alone: direct calls with BPF trampolines, and fprobe.',
  linux:
    'kprobe_ftrace_ops has FTRACE_OPS_FL_SAVE_REGS, kernel/kprobes.c (6.12); register_ftrace_direct (5.5) and register_fprobe (5.18) were taken instead',
  remedies: [
    'Use `fprobe`, or a BPF trampoline (`fentry`): they save arguments alone.',
    'Start the service with `--variants` to try what was proposed.',
  ],
};

export const KPROBE_FULL_REGS_ENTRY: Rule = {
  ...OURS,
  id: 'kprobe.full-regs.entry-only',
  title: 'Only a probe at a function’s entry can do without all registers',
  errno: 'EINVAL',
  what: 'A variant of this service: `fullRegs: false` is for kprobes of register_kprobe at an ftrace site, without a post_handler.',
  why: 'In the middle of a function any register may be live, and an int3 makes the CPU and the entry code save them all. At an ftrace site the ABI says what is live: the arguments. A post_handler may change the instruction pointer on its own terms, for which Linux takes the full frame; events of perf and tracefs fetch whatever registers their owner names.',
  linux: 'no counterpart; save_mcount_regs, arch/x86/kernel/ftrace_64.S (6.12), is what is saved',
  remedies: ['Probe the entry of the function, with `via: "kernel"`.', 'Leave `fullRegs` out.'],
};

export const VARIANT_RULES: readonly Rule[] = [
  FTRACE_CHANGES_STACK,
  FTRACE_CHANGES_STACK_ALONE,
  KPROBE_FULL_REGS,
  KPROBE_FULL_REGS_ENTRY,
];
