/**
 * What the simulated kernel knows of its owners: the objects Linux has (dyn_ftrace records, ftrace_ops, the kprobe table, BPF trampolines),
 * with Linux's names, as one persistent value. A decision makes a new value and leaves the old one as it was, so a refused or failed
 * request is undone by forgetting it.
 */
import type { Map as ImmutableMap, Set as ImmutableSet, OrderedSet } from 'immutable';
import type { BpfMap } from '../maps/state.ts';
import type { GracePeriod } from '../text-op.ts';
import type { BpfProg, BpfProgram, BpfTrampoline } from './bpf-state.ts';
import type { LoadedModule } from './loaded-module.ts';
import type { OwnerKind, RequestTarget } from './request.ts';

export type * from './bpf-state.ts';

/** A dyn_ftrace record: one per ftrace site that was ever touched. */
export interface DynFtrace {
  readonly flags: number;
  /** Number of ops attached (ftrace_rec_count). */
  readonly count: number;
}

export interface FtraceOps {
  readonly id: string;
  readonly flags: number;
  /** What the ops wants called: an offset in text, and the symbol the listings show. */
  readonly func: { readonly at: number; readonly symbol: string };
  /** ops->func is NULL although the ops is registered: a bug of 6.1 (rule bpf.trampoline.ipmodify-order), deadly at the next walk of the list. */
  readonly isFuncNull: boolean;
  /** Address of struct ftrace_ops, the third argument of the callback. */
  readonly pointer: bigint;
  /** When it entered ftrace_ops_list; a higher number stands nearer to the front. Undefined while it is not registered. */
  readonly position: number | undefined;
  /** Sites in filter_hash; an empty filter means every function, as in Linux. */
  readonly filter: ImmutableSet<number>;
  /** Whether the owner can share its site with an IPMODIFY owner, and who answers. */
  readonly opsFunc: 'none' | 'accepts' | 'bpf';
  readonly trampoline: number | undefined;
  readonly trampolineSize: number;
  readonly directCall: number | undefined;
  /** Attachment behind it; undefined for the shared ops of kprobes and the helper of modify_ftrace_direct. */
  readonly attachment: string | undefined;
  /** Traced function of the BPF trampoline behind it. */
  readonly bpfFunction: number | undefined;
  /** Old function of the livepatches behind it. */
  readonly livepatchedFunction: number | undefined;
}

export interface FtraceState {
  /** ftrace_disabled: a self-check failed, nothing moves any more. */
  readonly isDisabled: boolean;
  /** ftrace_enabled, the sysctl: while it is off owners come and go, and every site is a NOP. */
  readonly isEnabled: boolean;
  /** Registered ops and the position the next one gets: ftrace_ops_list, newest first by position. */
  readonly registered: number;
  readonly nextPosition: number;
  /** ftrace_trace_function. */
  readonly traceFunction: number;
  /** saved_ftrace_func of ftrace_startup_enable. */
  readonly savedFunction: number | undefined;
  /** What update_ftrace_func last put into the shared callers; undefined before its first call. */
  readonly callerFunction: number | undefined;
  /** kprobe_ftrace_enabled and kprobe_ipmodify_enabled: how many sites each shared ops believes to have. */
  readonly kprobePlainEnabled: number;
  readonly kprobeIpmodifyEnabled: number;
}

/** struct kprobe as registered by one attachment. */
export interface Kprobe {
  readonly id: string;
  readonly kind: 'kprobe' | 'kretprobe';
  readonly addr: number;
  readonly isDisabled: boolean;
  /** KPROBE_FLAG_GONE. */
  readonly isGone?: true;
  readonly hasPostHandler: boolean;
  /** Never to become a jump, nor any probe at its address: `optimize: false`, which Linux does not have. */
  readonly keepsInt3: boolean;
  readonly maxActive: number;
  /** The BPF program of the perf event that it belongs to. */
  readonly program?: ProbeProgram;
}

export interface ProbeProgram {
  readonly id: string;
  /** Address of struct bpf_prog. */
  readonly prog: bigint;
  readonly entry: number;
}

/** What the kprobe table has at one address: a single kprobe, or an aggregate ("aggr") with children. */
export interface KprobeEntry {
  readonly addr: number;
  readonly isFtrace: boolean;
  readonly isAggregate: boolean;
  readonly isDisabled: boolean;
  /** Of the single probe, or aggr_post_handler. Decides which shared ops arms and disarms it. */
  readonly hasPostHandler: boolean;
  /** Newest first: the order in which they run. A ghost is a probe whose unregistering failed and was freed all the same. */
  readonly children: readonly KprobeChild[];
  /** The byte that int3 hides. */
  readonly opcode: number;
  /** KPROBE_FLAG_GONE: the memory that was probed is given back. The probes stay registered and never run again. */
  readonly isGone?: true;
  /** Out-of-line slot; undefined at an ftrace site. */
  readonly slot: number | undefined;
  /** What stands at the first byte; `original` at an ftrace site. It outlives `isDisabled` while the optimizer is owed. */
  readonly first: 'original' | 'int3' | 'jump';
  /** Prepared for a jump; undefined where there can be none. */
  readonly opt: Optprobe | undefined;
}

/** struct optimized_kprobe: what an aggregate has beyond a kprobe. */
export interface Optprobe {
  /** Address of the struct, first argument of optimized_callback. */
  readonly op: bigint;
  /** The detour in the arena (optinsn.insn). */
  readonly detour: number;
  /** Bytes of the whole instructions that the jump replaces (optinsn.size). */
  readonly size: number;
  /** KPROBE_FLAG_OPTIMIZED: it is a jump or is to become one. */
  readonly isOptimized: boolean;
  /** The four bytes that the jump's displacement hides (optinsn.copied_insn); undefined while they stand in text themselves. */
  readonly copied: Uint8Array | undefined;
}

/** The delayed optimizer's lists, by address of the probe, oldest first (Linux puts new ones at the head), and its work. */
export interface OptimizerState {
  readonly optimizing: OrderedSet<number>;
  readonly unoptimizing: OrderedSet<number>;
  /** Jumps that were undone in a hurry and still have to be disarmed, removed or let go. */
  readonly freeing: OrderedSet<number>;
  /** optimizing_work is scheduled. */
  readonly isKicked: boolean;
}

export type KprobeChild =
  | { readonly kind: 'probe'; readonly id: string }
  | { readonly kind: 'ghost'; readonly probe: Kprobe['kind']; readonly hasPostHandler: boolean };

/** struct klp_func: one patch's replacement of one function. */
export interface Replacement {
  readonly attachment: string;
  /** Name of the patch (the module's). */
  readonly patch: string;
  /** Where calls go instead; the function itself for a nop. */
  readonly at: number;
  /** Bytes of the function at `at` (new_size): a task whose stack has an address in them is in it. */
  readonly size: number;
  /** A cumulative patch's stand-in for a function that only older patches change: goes on in the original. */
  readonly isNop: boolean;
}

/** struct klp_ops: all patches of a function share one ftrace_ops; the top of the stack runs. */
export interface LivepatchedFunction {
  readonly func: number;
  readonly ops: string;
  /** Newest first. */
  readonly stack: readonly Replacement[];
}

/** struct klp_func: a function that a patch changes. */
export interface KlpFunction {
  readonly func: number;
  readonly site: number;
}

/** struct klp_patch on klp_patches: enabled, or on its way there or out. */
export interface KlpPatch {
  readonly attachment: string;
  readonly name: string;
  readonly isEnabled: boolean;
  readonly isReplace: boolean;
  /** Somebody forced tasks out of it; its module stays for good. */
  readonly isForced: boolean;
  readonly funcs: readonly KlpFunction[];
}

/** klp_transition_patch and what goes with it. One transition at a time. */
export interface KlpTransition {
  readonly attachment: string;
  /** klp_target_state. */
  readonly target: KlpState;
  /** klp_signals_cnt: attempts to switch all tasks that did not succeed, since it was started or reversed. */
  readonly attempts: number;
  /** How often the tasks that were left were sent a signal or woken. */
  readonly signals: number;
}

export interface Livepatching {
  /** klp_patches, oldest first. */
  readonly patches: readonly KlpPatch[];
  readonly transition: KlpTransition | undefined;
  /** Attachments whose module can never be unloaded: forced, and off klp_patches. */
  readonly forced: readonly string[];
}

/** Which functions a task runs: KLP_TRANSITION_UNPATCHED or _PATCHED. */
export type KlpState = 'unpatched' | 'patched';

export type TaskKind = 'user' | 'kthread' | 'idle';

/** `running`: on a CPU. The others sleep, TASK_INTERRUPTIBLE or TASK_UNINTERRUPTIBLE. */
export type TaskRunState = 'running' | 'interruptible' | 'uninterruptible';

/** One call that a task is in. */
export interface TaskFrame {
  /** Never given twice: a function that was left and entered again is another call. */
  readonly serial: number;
  /** The place that was asked for. */
  readonly text: string;
  /** Where the task goes on, counted from `_text`: in the function that the call reached. */
  readonly at: number;
  /** The BPF trampoline image that called the function and will get control back (__bpf_tramp_enter took a reference). */
  readonly image: number | undefined;
  /**
   * The read-side section that it is in: of a BPF program, or of generated code where tasks do not sleep, which is left before the next
   * voluntary switch (rcu_tasks).
   */
  readonly reads: 'rcu' | 'rcu_tasks_trace' | 'rcu_tasks' | undefined;
}

/** A simulated task, as far as text patching asks about it. */
export interface Task {
  readonly id: string;
  readonly name: string;
  readonly kind: TaskKind;
  readonly client: string;
  readonly tenant: string;
  readonly sinceMs: number;
  readonly state: TaskRunState;
  /** Innermost first; empty: a user task is in user mode, any other one outside of all functions that are looked for. */
  readonly stack: readonly TaskFrame[];
  /** What stack_trace_save_tsk_reliable says of its stack. */
  readonly isReliable: boolean;
  /** task->patch_state; undefined while there is no transition (KLP_TRANSITION_IDLE). */
  readonly patchState: KlpState | undefined;
  /** TIF_PATCH_PENDING. */
  readonly isPatchPending: boolean;
}

/** Who holds a static key up or down. */
export type StaticKeyHolder =
  | { readonly kind: 'attachment'; readonly attachment: string; readonly enables: boolean }
  /** The probes of a tracepoint together; `tracepoint` is the offset of its struct. */
  | { readonly kind: 'tracepoint'; readonly tracepoint: number }
  /** The function-graph tracer with several users switches its way around the loop over them off. */
  | { readonly kind: 'graph-tracers'; readonly enables: false };

/** Who last said what a static call calls. */
export type StaticCallUser = (
  | { readonly kind: 'attachment'; readonly attachment: string }
  | { readonly kind: 'tracepoint'; readonly tracepoint: number }
  /** The only user of the function-graph tracer. */
  | { readonly kind: 'graph-tracers' }
) & {
  /** Offset of the function; null for NULL. */
  readonly to: number | null;
};

/** struct tracepoint with at least one probe. */
export interface Tracepoint {
  readonly name: string;
  /** In the order in which they run: the oldest first. */
  readonly probes: readonly TraceProbe[];
}

/** One user of a tracepoint. Users with the same function and data are one probe (struct tracepoint_func) in the place of the first. */
export interface TraceProbe {
  readonly attachment: string;
  readonly func: number;
  /** What the function is called with in front of the tracepoint's arguments; undefined for one that is not of our making. */
  readonly data?: bigint;
  /** Arguments that a raw program gets. */
  readonly args?: number;
  /** `cookie`: what bpf_get_attach_cookie answers it; undefined is 0. */
  readonly program?: ProbeProgram & { readonly kind: 'raw' | 'event'; readonly cookie?: bigint };
}

/** struct kgdb_bkpt of an active breakpoint, or what a breakpoint left behind. */
export interface KgdbBreakpoint {
  /** Undefined once its owner has left: then `saved` stands in text and belongs to nobody. */
  readonly attachment: string | undefined;
  /** The byte that kgdb read when it set the breakpoint, and writes back blindly. */
  readonly saved: number;
  /** False after somebody else has written over the int3. */
  readonly isPresent: boolean;
}

export interface Allocation {
  readonly at: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  /** `ftrace_trampoline`, `bpf_trampoline_…`, `kprobe_insn_slot`, … */
  readonly what: string;
  readonly attachment: string | undefined;
  /** Kernel address of the u64 that this code counts its calls in; undefined where it counts nothing. */
  readonly counter: bigint | undefined;
}

/** Generated code that nobody reaches any more and somebody may still be in. */
export interface Lingering {
  readonly at: number;
  /** Grace periods that are left; the first one is going on. */
  readonly steps: readonly GracePeriod[];
  /** Who was in a section that it waits for when it began: a task, or one call of it. */
  readonly waitsFor: readonly { readonly task: string; readonly frame: number | undefined }[];
  /** What whoever frees it is told to have waited for. */
  readonly told: readonly GracePeriod[];
  /** A five-byte NOP in it that became a jump when it was let go (ip_after_call). */
  readonly jump: { readonly at: number; readonly to: number } | undefined;
}

/** Generated code: a bump pointer and free lists by size, so that the same history gives the same addresses. */
export interface ArenaState {
  readonly next: number;
  readonly free: ImmutableMap<number, readonly number[]>;
  readonly allocations: ImmutableMap<number, Allocation>;
  /** Addresses of data objects (struct ftrace_ops, counters) handed out so far. */
  readonly nextData: bigint;
}

export interface Attachment {
  readonly id: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly tenant: string;
  readonly sinceMs: number;
  readonly target: RequestTarget;
  readonly options: Readonly<Record<string, unknown>>;
  readonly isEnabled: boolean;
  /** Addresses whose bytes this attachment wants changed, ascending. */
  readonly sites: readonly number[];
  readonly sequence: number;
  /** Arena allocations that live as long as it does. */
  readonly owned: readonly number[];
}

export interface Quarantine {
  readonly expected: string;
  readonly actual: string;
}

/** A user of the function-graph tracer. */
export interface GraphTracer {
  readonly attachment: string;
  readonly sites: ImmutableSet<number>;
  /** All fprobes are one user of it (6.14). */
  readonly isFprobe: boolean;
}

export interface KernelState {
  /** Newest first, as in Linux's list. */
  readonly modules: readonly LoadedModule[];
  readonly ftrace: FtraceState;
  /** kprobes_allow_optimization, the sysctl debug.kprobes-optimization. */
  readonly isKprobesOptimization: boolean;
  readonly records: ImmutableMap<number, DynFtrace>;
  readonly ops: ImmutableMap<string, FtraceOps>;
  /** Registered ops by site they filter on, newest first. Derived from `ops`; kept for speed. */
  readonly opsBySite: ImmutableMap<number, readonly string[]>;
  /** Function-graph tracers: attachment → its sites. They share one ops (graph_ops) whose filter is their union. Oldest first. */
  readonly graphTracers: readonly GraphTracer[];
  /** direct_functions: site → what it calls directly. */
  readonly directFunctions: ImmutableMap<number, number>;
  readonly kprobes: ImmutableMap<string, Kprobe>;
  readonly kprobeTable: ImmutableMap<number, KprobeEntry>;
  readonly optimizer: OptimizerState;
  readonly trampolines: ImmutableMap<number, BpfTrampoline>;
  readonly programs: ImmutableMap<string, BpfProgram>;
  readonly maps: ImmutableMap<string, BpfMap>;
  /** Number and lowest address of the next map. */
  readonly nextMap: { readonly number: number; readonly address: bigint };
  readonly bpfProgs: ImmutableMap<string, BpfProg>;
  readonly arena: ArenaState;
  /** Livepatched functions: offset of the old function → its stack of replacements. */
  readonly livepatches: ImmutableMap<number, LivepatchedFunction>;
  readonly livepatching: Livepatching;
  /** By place. */
  readonly lingering: ImmutableMap<number, Lingering>;
  readonly tasks: ImmutableMap<string, Task>;
  /** What the next call of a task gets. */
  readonly nextFrame: number;
  /** Static keys that somebody holds: offset of the struct static_key → its holders, oldest first. */
  readonly staticKeys: ImmutableMap<number, readonly StaticKeyHolder[]>;
  /** Static calls that somebody updated: offset of the struct static_call_key → its users, newest first. */
  readonly staticCalls: ImmutableMap<number, readonly StaticCallUser[]>;
  /** Tracepoints with probes: offset of the struct tracepoint → what it has. */
  readonly tracepoints: ImmutableMap<number, Tracepoint>;
  /** kgdb_break: address → breakpoint. */
  readonly kgdb: ImmutableMap<number, KgdbBreakpoint>;
  readonly attachments: ImmutableMap<string, Attachment>;
  /** Times the bytes or owners of a site changed; absent = 0. */
  readonly revisions: ImmutableMap<number, number>;
  readonly quarantined: ImmutableMap<number, Quarantine>;
}
