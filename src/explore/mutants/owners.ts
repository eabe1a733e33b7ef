import type { Op, Property } from '../scenario/scenario.ts';
import type { Mutant } from './mutant.ts';
import { unverified } from './protocol-steps.ts';

const ALL = ['weak', 'quad', 'line', 'sc'] as const;
const TRAMPOLINE = 'Linux 6.12, kernel/bpf/trampoline.c: bpf_tramp_image_put';

const withoutWait =
  (...kinds: readonly string[]) =>
  (ops: readonly Op[]): readonly Op[] =>
    ops.filter((op) => op.op !== 'wait' || !kinds.includes(op.for));

/** Moves the first operation of one kind in front of the first of another. */
const moved =
  (what: Op['op'], before: Op['op']) =>
  (ops: readonly Op[]): readonly Op[] => {
    const op = ops.find((each) => each.op === what);
    if (op === undefined) return ops;
    const rest = ops.filter((each) => each !== op);
    const at = rest.findIndex((each) => each.op === before);
    return [...rest.slice(0, at), op, ...rest.slice(at)];
  };

/** Without the property that would tell of a wrong order before it locks anybody up. */
const withoutLockOrder = (properties: readonly Property[]): readonly Property[] =>
  properties.filter((property) => property !== 'lock-order');

/** Takes one lock behind all others. */
function lockedLast(ops: readonly Op[], lock: string): readonly Op[] {
  const [last] = ops.filter((op) => op.op === 'lock').slice(-1);
  const taken = ops.find((op) => op.op === 'lock' && op.lock === lock);
  if (last === undefined || taken === undefined) return ops;
  return ops.filter((op) => op !== taken).flatMap((op) => (op === last ? [op, taken] : [op]));
}

/** One owner of a site, or two that meet there, doing something in the wrong order or not at all. */
export const OWNER_MUTANTS: readonly Mutant[] = [
  {
    name: 'freed-after-rcu-tasks-alone',
    title: 'A trampoline is freed after rcu_tasks alone',
    scenario: 'fentry-detach-sleepable',
    breaks: 'no-freed',
    models: ALL,
    differs: 'The wait for rcu_tasks_trace is left out.',
    story: [
      'A sleepable program sleeps. For rcu_tasks that is a voluntary switch, and the task counts as gone; but it will return into the trampoline that called it. Only rcu_tasks_trace, which the program runs under, knows.',
    ],
    sources: [TRAMPOLINE, 'Linux commit e21d2b92354b ("bpf: Free trampoline images in the right order")'],
    mutation: { ops: withoutWait('rcu_tasks_trace') },
  },
  {
    name: 'freed-after-trace-alone',
    title: 'A trampoline is freed after rcu_tasks_trace alone',
    scenario: 'fentry-detach-sleepable',
    breaks: 'no-freed',
    models: ALL,
    differs: 'The wait for rcu_tasks is left out.',
    story: [
      'Before the program begins and after it has ended a task is in the trampoline under no lock at all: preempted there, it is known to rcu_tasks only.',
    ],
    sources: [TRAMPOLINE],
    mutation: { ops: withoutWait('rcu_tasks') },
  },
  {
    name: 'freed-without-percpu-ref',
    title: 'A trampoline that calls the function is freed without its reference count',
    scenario: 'fexit-detach',
    breaks: 'no-freed',
    models: ALL,
    differs: 'The wait for percpu_ref is left out.',
    story: [
      'An fexit trampoline calls the function it is attached to, and that may sleep for as long as it likes, with a return address into the trampoline on its stack and no lock held. The reference that __bpf_tramp_enter takes is all that shows it.',
    ],
    sources: [TRAMPOLINE, 'Linux commit e21d2b92354b (deepflow refuses fentry on kernels without it: deepflow#9741)'],
    mutation: { ops: withoutWait('percpu_ref') },
  },
  {
    name: 'optprobe-over-jump-target',
    title: 'A kprobe is optimized over a jump target',
    scenario: 'kprobe-before-jump-target',
    breaks: 'no-mix',
    models: ALL,
    differs:
      'The kprobe is jump-optimized although an instruction inside the five bytes is jumped to (can_optimize says no).',
    story: [
      'The jump to the detour takes the place of several instructions. Whoever jumps to one of them from elsewhere in the function lands in the middle of its displacement.',
    ],
    sources: ['Linux 6.12, arch/x86/kernel/kprobes/opt.c: can_optimize'],
    mutation: {
      ops: (ops) => [
        ...ops,
        { op: 'lock', lock: 'text_mutex' },
        { op: 'poke', pokes: [{ at: 'f+0x2', from: ['int3', '1f00', 'nop2'], to: ['jmp detour'] }] },
        { op: 'unlock', lock: 'text_mutex' },
      ],
    },
  },
  {
    name: 'unverified-bytes',
    title: 'ftrace replaces bytes that it did not verify',
    scenario: 'foreign-bytes',
    breaks: 'quiescent-bytes',
    models: ALL,
    differs: 'The expected bytes are read from the text instead of being computed from owners.',
    story: [
      "A module has written its own jump over a function's entry. ftrace attaches, expects the nop that it knows of, and must find that it is not there. If it takes what it finds for what it expects, the other owner is gone without a word.",
      'Starovoitov named the check as the least that is needed: that it is a nop that is being replaced. In Linux a failed check turns ftrace off for good (plugsched#160); here that site alone is quarantined.',
    ],
    sources: [
      'Linux 6.12, arch/x86/kernel/ftrace.c: ftrace_verify_code',
      'LKML, 22 October 2019, "Re: [PATCH 3/3] x86/ftrace: Use text_poke()"',
    ],
    mutation: unverified,
  },
  {
    name: 'modify-direct-with-a-window',
    title: 'A direct call is modified by taking it away first',
    scenario: 'modify-direct',
    breaks: 'exactly-once',
    models: ALL,
    differs: 'Instead of one poke from the old call to the new one: a poke to nop, then one to the new call.',
    story: [
      'The trampoline is replaced while its programs stay attached. If the site is a nop in between, a call that comes by then runs none of them: a probe that was attached all the time has missed.',
    ],
    sources: [
      'Linux 6.12, kernel/trace/ftrace.c: __modify_ftrace_direct',
      'arch/x86/net/bpf_jit_comp.c: __bpf_arch_text_poke',
    ],
    mutation: {
      ops: (ops) =>
        ops.flatMap((op): readonly Op[] => {
          if (op.op !== 'poke') return [op];
          const away = op.pokes.map(({ at }) => ({ at, to: ['nop5'] }));
          const back = op.pokes.map(({ from: _, ...poke }) => poke);
          return [
            { op: 'poke', pokes: away },
            { op: 'poke', pokes: back },
          ];
        }),
    },
  },
  {
    name: 'freed-before-detached',
    title: 'The trampoline goes before the call to it',
    scenario: 'fentry-detach',
    breaks: 'no-freed',
    models: ALL,
    differs: '`free` comes before `poke`.',
    story: ['Detaching frees the trampoline while the site still calls it.'],
    sources: [TRAMPOLINE, 'Linux commit 4c75b0ff4e4b (kprobe, direct call and the order of detaching)'],
    mutation: { ops: moved('free', 'poke') },
  },
  {
    name: 'kprobe-removed-while-armed',
    title: 'A kprobe leaves the table before its int3 is gone',
    scenario: 'kprobe-unregister',
    breaks: 'int3-handled',
    models: ALL,
    differs: '`del-kprobe` comes before `disarm`.',
    story: ['The int3 is still in the text when nobody knows it any more. The next CPU that comes by dies of it.'],
    sources: ['Linux 6.12, kernel/kprobes.c: __unregister_kprobe_top, __unregister_kprobe_bottom'],
    mutation: { ops: moved('del-kprobe', 'disarm') },
  },
  {
    name: 'optimizer-against-text-mutex',
    title: 'The optimizer takes a lock and text_mutex the other way round',
    scenario: 'optimizer-and-ftrace',
    breaks: 'no-deadlock',
    models: ALL,
    differs: 'The optimizer takes module_mutex before text_mutex.',
    story: [
      'ftrace takes text_mutex for its update window and then module_mutex, to make module text writable. The optimizer, which wakes when it likes, took module_mutex first. Each can have what the other wants.',
    ],
    sources: ['Linux commit f1c6ece23729 ("kprobes: Fix potential deadlock in kprobe_optimizer()"), 25764288d8dc'],
    mutation: {
      ops: (ops, patcher) => {
        if (patcher !== 0) return ops;
        const isModule = (op: Op): boolean => op.op === 'lock' && op.lock === 'module_mutex';
        return [...ops.filter(isModule), ...ops.filter((op) => !isModule(op))];
      },
    },
  },
  {
    name: 'kprobe-mutex-under-text-mutex',
    title: 'kprobe_mutex is taken under text_mutex',
    scenario: 'optimizer-and-ftrace',
    breaks: 'lock-order',
    models: ALL,
    differs: 'The optimizer takes text_mutex first.',
    story: [
      'The order is kprobe_mutex, cpus_read_lock, jump_label_mutex, text_mutex. Taking them otherwise need not lock up in any one run, which is why the order itself is what must hold.',
    ],
    sources: ['Linux 6.12, kernel/kprobes.c: kprobe_optimizer, register_aggr_kprobe'],
    mutation: {
      ops: (ops, patcher) => {
        if (patcher !== 0) return ops;
        const isText = (op: Op): boolean => op.op === 'lock' && op.lock === 'text_mutex';
        return [...ops.filter(isText), ...ops.filter((op) => !isText(op))];
      },
    },
  },
  {
    name: 'text-mutex-before-cpus-read-lock',
    title: 'text_mutex is taken before cpus_read_lock',
    scenario: 'cpu-hotplug',
    breaks: 'no-deadlock',
    models: ALL,
    differs: 'The optimizer takes cpus_read_lock last, and nobody watches the order.',
    story: [
      'A CPU that comes up changes text, too: alternatives_enable_smp puts lock prefixes back, under cpus_write_lock and then text_mutex. Who has text_mutex and then asks for cpus_read_lock waits for the one that comes up, and that one for text_mutex.',
      'Readers do not wait for each other, which hides the fault for as long as no CPU comes or goes: with cpus_read_lock taken for an ordinary mutex the two readers alone would lock up, and blame the wrong one.',
    ],
    sources: [
      'Linux 6.12, kernel/kprobes.c: kprobe_optimizer (cpus_read_lock before text_mutex); kernel/cpu.c: cpus_write_lock',
      'arch/x86/kernel/smpboot.c: common_cpu_up; arch/x86/kernel/alternative.c: alternatives_enable_smp',
    ],
    mutation: {
      holds: withoutLockOrder,
      ops: (ops, patcher) => (patcher === 0 ? lockedLast(ops, 'cpus_read_lock') : ops),
    },
  },
  {
    name: 'trampoline-lock-not-tried',
    title: 'The lock of a trampoline is waited for, not tried',
    scenario: 'trampoline-and-ipmodify',
    breaks: 'no-deadlock',
    models: ALL,
    differs: 'mutex_lock instead of mutex_trylock of tr->mutex under direct_mutex, and nobody watches the order.',
    story: [
      'A trampoline is updated under tr->mutex, then direct_mutex, then ftrace_lock. An owner that may change the instruction pointer comes from the other side: it has direct_mutex when it asks the trampoline whether it can share. If that waited for tr->mutex, each would have what the other wants. So it tries, sleeps a millisecond, and answers EAGAIN.',
    ],
    sources: [
      'Linux 6.12, kernel/bpf/trampoline.c: bpf_tramp_ftrace_ops_func, and its comment on the order of locking',
      'kernel/trace/ftrace.c: prepare_direct_functions_for_ipmodify, register_ftrace_function',
    ],
    mutation: {
      holds: withoutLockOrder,
      ops: (ops) => ops.map((op): Op => (op.op === 'trylock' ? { op: 'lock', lock: op.lock } : op)),
    },
  },
  {
    name: 'optimized-at-once',
    title: 'A kprobe becomes a jump without waiting for tasks',
    scenario: 'kprobe-optimize',
    breaks: 'no-mix',
    models: ALL,
    differs: 'No rcu_tasks grace period between the int3 and the jump.',
    story: [
      'The jump is five bytes long and lies over several instructions. Whoever was interrupted, or preempted, behind the first of them goes on in the middle of the jump. int3 and IPIs do not help: the task does not come by the first byte any more. So the optimizer is delayed: it waits until every task has been seen outside, and only then writes the jump.',
      'In the meantime who traps is not sent back behind the int3, but on into the detour; otherwise there would be somebody in the middle again.',
    ],
    sources: [
      'Linux 6.12, kernel/kprobes.c: kprobe_optimizer; arch/x86/kernel/kprobes/opt.c: arch_optimize_kprobes, setup_detour_execution',
      'Linux commit c85c9a2c6e36 (jump optimization is delayed)',
    ],
    mutation: { ops: withoutWait('rcu_tasks') },
  },
  {
    name: 'stepped-into-the-jump',
    title: 'A probe that is being optimized is still single-stepped',
    scenario: 'kprobe-optimize',
    breaks: 'no-mix',
    models: ALL,
    differs: 'Who traps while the optimizer waits goes on behind the int3, not in the detour.',
    story: [
      'The grace period counts those who were in the middle when it began. One who traps later, and is sent back behind the first instruction, is in the middle when it ends. From the moment at which a probe is queued to be optimized its int3 leads to the detour (KPROBE_FLAG_OPTIMIZED, setup_detour_execution).',
    ],
    sources: ['Linux 6.12, arch/x86/kernel/kprobes/opt.c: setup_detour_execution; kernel/kprobes.c: optimize_kprobe'],
    mutation: { ops: (ops) => ops.filter((op) => op.op !== 'detour-kprobe') },
  },
];
