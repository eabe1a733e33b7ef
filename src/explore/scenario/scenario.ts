import type { FetchModelName } from '../../cpu/index.ts';

/** What must hold; docs/explore.md says each in a sentence. */
export const PROPERTIES = [
  'no-mix',
  'int3-handled',
  'vector-held',
  'new-after-sync',
  'no-freed',
  'exactly-once',
  'text-mutex',
  'lock-order',
  'no-deadlock',
  'no-mismatch',
  'quiescent-bytes',
  'invariants',
] as const;
export type Property = (typeof PROPERTIES)[number];

/** Taken by many at once, and by nobody while a writer has it or waits for it (percpu_rwsem): which lock the writer takes. */
export const READ_LOCKS: Readonly<Record<string, string>> = { cpus_read_lock: 'cpus_write_lock' };

/**
 * Locks in the order in which they may be taken: the kprobes' and the trampolines' way to text_mutex (kernel/kprobes.c, kernel/bpf/trampoline.c, 6.12), and
 * CPU hotplug's (alternatives_enable_smp, under cpus_write_lock).
 */
export const LOCK_CHAINS: readonly (readonly string[])[] = [
  ['kprobe_mutex', 'cpus_read_lock', 'jump_label_mutex', 'text_mutex'],
  ['tr->mutex', 'direct_mutex', 'ftrace_lock', 'text_mutex'],
  ['kprobe_mutex', 'cpus_write_lock', 'jump_label_mutex', 'text_mutex'],
];
export const LOCKS = [...new Set([...LOCK_CHAINS.flat(), 'module_mutex'])];

export const GRACE_PERIODS = ['rcu_tasks', 'rcu_tasks_trace', 'percpu_ref'] as const;
export type GracePeriod = (typeof GRACE_PERIODS)[number];

/** What a place does instead of having code: the few kernel functions that a scenario needs, as the explorer plays them. */
export const BUILTINS = [
  'callback',
  'list',
  'indirect',
  'sleep',
  'trace-enter',
  'trace-exit',
  'ref-get',
  'ref-put',
] as const;
export type Builtin = (typeof BUILTINS)[number];

/**
 * A function, or a piece of generated code. `code` is a list of instructions: hex bytes, or `nop2 nop5 ret int3`, or `call NAME`, `jmp NAME`,
 * `jmp8 NAME`, `je NAME`, `je8 NAME`. NAME may carry an offset, `f+0x5`.
 */
export interface TextSpec {
  readonly name: string;
  /** `0x1000` counts from _text, `arena+0x100` from the start of generated code. */
  readonly at: string;
  readonly code?: readonly string[];
  readonly does?: Builtin;
  /** `callback`: who is called. */
  readonly owner?: string;
  /** `list`, `indirect`: which variable. */
  readonly variable?: string;
  /** Generated code that does not exist at first: `copy` makes it. */
  readonly absent?: boolean;
}

export interface PokeSpec {
  readonly at: string;
  readonly to: readonly string[];
  /** What must stand there; absent: what the scenario's text has there. */
  readonly from?: readonly string[];
  readonly emulate?: readonly string[];
}

export type Op =
  | { readonly op: 'lock' | 'unlock'; readonly lock: string }
  /** mutex_trylock: who does not get it gives up (-EAGAIN), and releases what it has. */
  | { readonly op: 'trylock'; readonly lock: string }
  /** text_poke_bp_batch: all of them in one vector. */
  | { readonly op: 'poke'; readonly pokes: readonly PokeSpec[] }
  /** text_poke_queue. */
  | ({ readonly op: 'queue' } & PokeSpec)
  /** text_poke_finish. */
  | { readonly op: 'finish' }
  /** arch_arm_kprobe and arch_disarm_kprobe: one byte and a sync. */
  | { readonly op: 'arm' | 'disarm'; readonly at: string }
  /** hlist_add and hlist_del of the kprobe table. */
  | { readonly op: 'add-kprobe'; readonly at: string; readonly owner: string }
  | { readonly op: 'del-kprobe'; readonly at: string }
  /** KPROBE_FLAG_OPTIMIZED: from here on who has run the kprobe at `at` goes on at `target` (setup_detour_execution), in generated code. */
  | { readonly op: 'detour-kprobe'; readonly at: string; readonly target: string }
  /** text_poke_copy: generated code comes into being. */
  | { readonly op: 'copy'; readonly name: string }
  /** text_poke_set to int3, after which nobody may be there. */
  | { readonly op: 'free'; readonly name: string }
  | { readonly op: 'wait'; readonly for: GracePeriod }
  | { readonly op: 'set'; readonly variable: string; readonly value: string | readonly string[] }
  /** From here on a call that begins must run the owner. */
  | { readonly op: 'attached'; readonly owner: string }
  /** From here on a call may miss it. */
  | { readonly op: 'detaching'; readonly owner: string };

export interface PatcherSpec {
  readonly do: readonly Op[];
}

export interface CpuSpec {
  /** What the task calls. */
  readonly run: string;
  /** How often; `forever`: again and again. */
  readonly times: number | 'forever';
  /** An interrupt that may come at any boundary, so often, and calls this. */
  readonly irq?: { readonly run: string; readonly times: number };
  readonly nmi?: { readonly run: string; readonly times: number };
  /** RFLAGS for conditional jumps; absent: 0. */
  readonly flags?: number;
}

/** A file under examples/explorations: who changes what, who runs it, and what must hold. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly fetch: FetchModelName;
  readonly text: readonly TextSpec[];
  readonly variables?: Readonly<Record<string, string | readonly string[]>>;
  /** Owners that are attached from the start. */
  readonly attached?: readonly string[];
  /** Which functions' calls an owner is attached to; absent: all. */
  readonly on?: Readonly<Record<string, readonly string[]>>;
  readonly patchers: readonly PatcherSpec[];
  readonly cpus: readonly CpuSpec[];
  /** Absent: all. */
  readonly hold?: readonly Property[];
  /** What must stand where when all patchers are done: bytes match owners. */
  readonly final?: Readonly<Record<string, readonly string[]>>;
}

/** Names of the actors, as schedules print them: patchers are capitals, CPUs numbers. */
export const actorsOf = ({ patchers, cpus }: Scenario): readonly string[] => [
  ...patchers.map((_, i) => String.fromCharCode(65 + i)),
  ...cpus.map((_, i) => String(i)),
];
