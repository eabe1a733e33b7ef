// Generated from the OpenAPI document by scripts/generate-client-types.ts; do not edit.

export interface AttachAnswer {
  readonly id: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly verdict: 'attached' | 'chained' | 'shared';
  readonly siteCount: number;
  readonly sites?: readonly SiteAnswer[];
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface AttachRequest {
  readonly kind: OwnerKind;
  readonly target:
    | string
    | readonly string[]
    | {
        /** Only `*` and `?` are special */
        readonly pattern: string;
      };
  readonly program?: string;

  /** By kind; unknown options are refused */
  readonly options?: Readonly<Record<string, unknown>>;

  /** It outlives the session of the request */
  readonly pinned?: boolean;
}

export interface Attachable {
  readonly kprobe: boolean;
  readonly ftrace: boolean;
  readonly fentry: boolean;
  readonly fmodRet: boolean;
  readonly livepatch: boolean;
}

export interface AttachmentCounters {
  /** Times it ran in calls since the service started */
  readonly hits: number;

  /** Executed in it, in all of them */
  readonly instructions: number;

  /** Times it would have run and did not, by reason */
  readonly misses: Readonly<Record<string, number>>;
}

export interface AttachmentPage {
  readonly items: readonly AttachmentView[];
  readonly nextCursor: string | null;
}

export interface AttachmentView {
  readonly id: string;
  readonly kind: OwnerKind;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly target: string | readonly string[] | { readonly pattern: string };
  readonly options: Readonly<Record<string, unknown>>;
  readonly enabled: boolean;
  readonly siteCount: number;
  readonly sites?: readonly SiteAnswer[];
  readonly sequence: number;
  readonly session: string | null;
  readonly pinned: boolean;
  readonly counters: AttachmentCounters;
  readonly livepatch?: LivepatchView;
}

export interface AuditView {
  readonly bytesChecked: number;
  readonly differing: number;
  readonly attributed: number;
  readonly orphans: readonly Orphan[];
  readonly durationMs: number;
}

export interface BlameRun {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly place: string;

  /** Bytes, lower-case hex */
  readonly current: string;

  /** Bytes, lower-case hex */
  readonly original: string;
  readonly poke: PokeView | null;
}

export interface BlameView {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly length: number;

  /** Neighbouring bytes that one poke left as they are */
  readonly runs: readonly BlameRun[];

  /** Pokes here that are no longer remembered */
  readonly forgotten: number;
}

export interface CallAnswer {
  readonly function: string;
  readonly ended: 'returned' | 'fault' | 'budget';
  readonly returnValue: string | null;
  readonly instructions: number;
  readonly fired: readonly CallFired[];
  readonly misses: readonly CallMiss[];
  readonly registers: Readonly<Record<string, string>>;
  readonly log: readonly string[];
  readonly buffers: readonly CallBuffer[];
  readonly fault: CallFault | null;
  readonly exceeded: 'instructions' | 'time' | null;
  readonly trace: readonly CallTrace[];
}

export interface CallBuffer {
  readonly arg: number;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;

  /** Bytes, lower-case hex */
  readonly bytes: string;
}

export interface CallFault {
  readonly name: string;
  readonly detail: string;

  /** Address, 64 bits, lower-case hex */
  readonly rip: string;
  readonly place: string;
  readonly address: string | null;

  /** Bytes, lower-case hex */
  readonly bytes: string;
  readonly instructions: readonly CallInstruction[];
}

export interface CallFired {
  readonly attachment: string;
  readonly kind: string;
  readonly place: string;
  readonly args: readonly string[];
  readonly returnValue: string | null;
  readonly instructions: number;
}

export interface CallInstruction {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;

  /** Bytes, lower-case hex */
  readonly bytes: string;
  readonly text: string;
  readonly target: string | null;
}

export interface CallMiss {
  readonly attachment: string;
  readonly kind: string;
  readonly reason: string;
}

export interface CallRequest {
  /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
  readonly function: string;
  readonly args?: readonly (
    | string
    | number
    | {
        /** Bytes, lower-case hex */
        readonly buffer: string;
      }
    | {
        /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
        readonly symbol: string;
      }
  )[];

  /** Missing arguments by prototype; pointers get zeroed memory of what they point to */
  readonly sample?: boolean;
  readonly cpu?: number;

  /** How many executed instructions to show */
  readonly trace?: number;

  /** Default 10,000,000, at most 50,000,000 */
  readonly maxInstructions?: number;

  /** Default 2,000, at most 10,000 */
  readonly maxMs?: number;
}

export interface CallTrace {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly place: string;
}

/** With `solve=order`: steps that no order grants together */
export interface ConflictAnswer {
  readonly steps: readonly number[];
  readonly isSmallest: boolean;
  readonly why: Problem;
}

export interface CostAnswer {
  readonly pokes: number;
  readonly batches: number;
  readonly syncRounds: number;
  readonly textMutexHeldUs: number;
}

export interface Counterexample {
  readonly property: string;
  readonly detail: string;

  /** As short as it could be made */
  readonly schedule: string;
  readonly steps: number;

  /** As it was found */
  readonly found: string;

  /** A command line that shows it again */
  readonly replay: string;
}

export interface DetachAnswer {
  readonly id: string;
  readonly verdict: 'detached';
  readonly siteCount: number;
  readonly sites?: readonly SiteAnswer[];

  /** Addresses whose bytes are pristine again */
  readonly restored: readonly string[];
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

/** One of `enabled`, `force` and `pinned` */
export interface EnableRequest {
  readonly enabled?: boolean;

  /** Force the transition of a livepatch */
  readonly force?: 'true';

  /** true: it outlives its session; false: the session of the request takes it over */
  readonly pinned?: boolean;
}

/** What was published about real machines; not measured by this service */
export interface EstimateAnswer {
  readonly milliseconds: { readonly low: number; readonly high: number } | null;
  readonly figures: readonly { readonly published: string; readonly source: string }[];
  readonly note: string;
}

/** What was asked for, within what the service allows */
export interface ExplorationBudget {
  readonly maxMs: number;
  readonly maxStates: number;
  readonly maxSteps: number | null;
}

export interface ExplorationPage {
  readonly items: readonly ExplorationSummary[];
  readonly nextCursor: string | null;
}

export interface ExplorationProgress {
  /** Different states seen; 0 for strategies that keep none */
  readonly states: number;
  readonly steps: number;

  /** Runs that came to an end, or to a state that was known */
  readonly schedules: number;
  readonly depthMax: number;
  readonly elapsedMs: number;
}

export interface ExplorationRequest {
  readonly scenario: Scenario;

  /** A known bug to put in */
  readonly mutant?:
    | 'no-sync-after-int3'
    | 'no-sync-after-tail'
    | 'no-sync-after-first'
    | 'tail-before-int3'
    | 'first-before-tail'
    | 'unsorted-batch'
    | 'vector-without-reference'
    | 'single-poke-meets-queue'
    | 'plays-the-old-instruction'
    | 'just-text-poke'
    | 'straddling-without-int3'
    | 'freed-after-rcu-tasks-alone'
    | 'freed-after-trace-alone'
    | 'freed-without-percpu-ref'
    | 'optprobe-over-jump-target'
    | 'unverified-bytes'
    | 'modify-direct-with-a-window'
    | 'freed-before-detached'
    | 'kprobe-removed-while-armed'
    | 'optimizer-against-text-mutex'
    | 'kprobe-mutex-under-text-mutex'
    | 'text-mutex-before-cpus-read-lock'
    | 'trampoline-lock-not-tried'
    | 'optimized-at-once'
    | 'stepped-into-the-jump';
  readonly strategy?: ExplorationStrategy;

  /** Absent: one minute; at most half an hour */
  readonly maxMs?: number;

  /** Absent: two million; at most ten million */
  readonly maxStates?: number;

  /** Absent: without end */
  readonly maxSteps?: number;
}

export interface ExplorationResult {
  /** bound: nothing was found up to it, and nothing is claimed beyond; refused: not a schedule of this scenario; failed: see detail */
  readonly outcome: 'holds' | 'violated' | 'bound' | 'refused' | 'failed';

  /** `holds` speaks for every schedule */
  readonly exhaustive: boolean;
  readonly bound: 'states' | 'ms' | 'steps' | 'depth' | 'memory' | null;
  readonly detail: string | null;
  readonly counterexample: Counterexample | null;
}

/** Absent: exhaustive, depth first */
export interface ExplorationStrategy {
  readonly kind: 'exhaustive' | 'random' | 'pct' | 'replay';

  /** exhaustive: breadth first finds a shortest schedule */
  readonly order?: 'depth' | 'breadth';

  /** exhaustive, breadth first: steps of the longest schedule */
  readonly depthMax?: number;

  /** random, pct; absent: 1 */
  readonly seed?: number;

  /** random, pct: how many; absent: 100000 */
  readonly schedules?: number;

  /** pct: places where priorities change; absent: 3 */
  readonly changes?: number;

  /** replay: `A-A-0-1.2-0i-1q` */
  readonly schedule?: string;
}

export interface ExplorationSummary {
  readonly id: string;
  readonly scenario: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly state: 'running' | 'done' | 'deleted';
  readonly mutant: string | null;
  readonly strategy: ExplorationStrategy;
  readonly budget: ExplorationBudget;
  readonly progress: ExplorationProgress;
  readonly result: ExplorationResult | null;
}

export interface ExplorationTrace {
  readonly patchers: readonly string[];
  readonly cpus: readonly string[];
  readonly places: readonly TracePlace[];
  readonly steps: readonly TraceStep[];
  readonly violation?: TraceViolation;
}

export interface ExplorationView {
  readonly id: string;
  readonly scenario: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly state: 'running' | 'done' | 'deleted';
  readonly mutant: string | null;
  readonly strategy: ExplorationStrategy;
  readonly budget: ExplorationBudget;
  readonly progress: ExplorationProgress;
  readonly result: ExplorationResult | null;
  readonly trace: ExplorationTrace | null;
}

export interface FaultPage {
  readonly items: readonly FaultView[];
  readonly nextCursor: string | null;
}

export interface FaultRequest {
  /** `dropped-ipi`, `delayed-sync`, `crash-between-phases`, `journal-stall`, `journal-full`, `clock-jump` */
  readonly name: string;

  /** How often it happens; once when not said */
  readonly times?: number;

  /** How often it could happen before it first does */
  readonly after?: number;

  /** Only in commands of this kind: `attach`, `detach`, `reset`, `end-session`, `module-load` … */
  readonly command?: string;

  /** Only in commands of this client */
  readonly client?: string;

  /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
  readonly place?: string;

  /** Milliseconds: how late a sync round or a flush is, or by how much the clock jumps */
  readonly ms?: number;

  /** The CPU that does not acknowledge */
  readonly cpu?: number;

  /** The step of a command at which it ends, from 1 */
  readonly phase?: number;

  /** How a command ends that crashes: it is undone, or the whole process is gone */
  readonly mode?: 'rollback' | 'exit';
}

export interface FaultView {
  readonly id: string;
  readonly name:
    | 'dropped-ipi'
    | 'delayed-sync'
    | 'crash-between-phases'
    | 'journal-stall'
    | 'journal-full'
    | 'clock-jump';
  readonly options: {
    /** How often it happens; once when not said */
    readonly times?: number;
    /** How often it could happen before it first does */
    readonly after?: number;
    /** Only in commands of this kind: `attach`, `detach`, `reset`, `end-session`, `module-load` … */
    readonly command?: string;
    /** Only in commands of this client */
    readonly client?: string;
    /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
    readonly place?: string;
    /** Milliseconds: how late a sync round or a flush is, or by how much the clock jumps */
    readonly ms?: number;
    /** The CPU that does not acknowledge */
    readonly cpu?: number;
    /** The step of a command at which it ends, from 1 */
    readonly phase?: number;
    /** How a command ends that crashes: it is undone, or the whole process is gone */
    readonly mode?: 'rollback' | 'exit';
  };

  /** Who armed it */
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** How often it could have happened so far */
  readonly seen: number;

  /** How often it has */
  readonly fired: number;

  /** How often it is still going to; 0: it is over */
  readonly remaining: number;
}

export interface Holder {
  readonly attachment: string;
  readonly kind: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
}

export interface ImageCounts {
  readonly symbols: number;
  readonly functions: number;
  readonly ftraceSites: number;
  readonly jumpLabels: number;
  readonly staticCalls: number;
  readonly blacklisted: number;
  readonly btfFunctions: number;
}

export interface ImageView {
  readonly release: string;
  readonly source: string;
  readonly sha256: string;

  /** Address, 64 bits, lower-case hex */
  readonly base: string;
  readonly sections: readonly SectionView[];
  readonly counts: ImageCounts;
  readonly loadMs: number;
  readonly fromCache: boolean;
  readonly profile: string;
  readonly kernel: string;
  readonly strictness: 'safe' | 'linux';
  readonly unknowns: readonly UnknownBytes[];
}

export interface InstructionView {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;

  /** Bytes, lower-case hex */
  readonly bytes: string;
  readonly text: string;
  readonly target: string | null;
}

export interface KernelsView {
  readonly image: string;

  /** The version whose rules decide for the loaded image */
  readonly rules: string;

  /** What ?kernel= takes, each at its latest point release */
  readonly versions: readonly {
    readonly version: string;
    readonly evidence: string;
    readonly decides: readonly {
      readonly fact: string;
      readonly value: string;
      readonly since: string;
      readonly source: string;
    }[];
  }[];
  readonly facts: readonly {
    readonly name: string;
    readonly title: string;
    readonly linux: string;
    readonly rules: readonly string[];
    readonly values: readonly { readonly since: string; readonly value: string; readonly source: string }[];
    /** For the loaded image */
    readonly here: string;
  }[];
}

export interface Live {
  readonly status: 'live';
}

export interface LivepatchTransition {
  readonly target: 'unpatched' | 'patched';

  /** Attempts so far that left a task behind; there is one a second */
  readonly attempts: number;

  /** How often the tasks that were left were sent a signal or woken */
  readonly signals: number;
  readonly tasks: number;
  readonly switched: number;
  readonly waitsFor: readonly {
    readonly task: string;
    readonly name: string;
    readonly errno: string;
    readonly why: string;
  }[];
}

export interface LivepatchView {
  readonly patch: string;
  readonly replace: boolean;

  /** Its code can never be unloaded */
  readonly forced: boolean;
  readonly transition: LivepatchTransition | null;

  /** Functions that have it on their stack; replacement null: back to the original */
  readonly functions: readonly {
    readonly function: string;
    readonly replacement: string | null;
    readonly onTop: boolean;
  }[];
}

export interface MapEntryPage {
  readonly items: readonly MapEntryView[];
  readonly nextCursor: string | null;
}

export interface MapEntryRequest {
  /** Hex, keySize bytes */
  readonly key: string;

  /** Hex, valueSize bytes; of every CPU, where each has its own */
  readonly value?: string;

  /** One for each CPU */
  readonly values?: readonly string[];

  /** prog_array: the program */
  readonly program?: string;

  /** 0 BPF_ANY, 1 BPF_NOEXIST, 2 BPF_EXIST; 4 BPF_F_LOCK */
  readonly flags?: number;
}

export interface MapEntryView {
  /** Bytes, lower-case hex */
  readonly key: string;
  readonly value: string | null;
  readonly values: readonly string[] | null;
  readonly program: string | null;
  readonly stack: readonly string[] | null;
}

export interface MapPage {
  readonly items: readonly MapView[];
  readonly nextCursor: string | null;
}

export interface MapRecords {
  readonly records: readonly {
    /** Where it stands in its ring; it only grows */
    readonly position: string;
    readonly cpu: number | null;
    /** Bytes, lower-case hex */
    readonly bytes: string;
  }[];

  /** perf_event_array: records that found no room */
  readonly lost: number;

  /** Bytes behind them that are still there */
  readonly available: number;
}

export interface MapRequest {
  readonly name: string;
  readonly type:
    | 'hash'
    | 'array'
    | 'prog_array'
    | 'perf_event_array'
    | 'percpu_hash'
    | 'percpu_array'
    | 'stack_trace'
    | 'lru_hash'
    | 'lru_percpu_hash'
    | 'ringbuf';

  /** Bytes; 4 without it, 0 for a ring buffer */
  readonly keySize?: number;

  /** Bytes of one CPU’s value; 4 without it, 0 for a ring buffer */
  readonly valueSize?: number;

  /** Of a ring buffer: its bytes */
  readonly maxEntries: number;

  /** BPF_F_* */
  readonly flags?: number;

  /** Contents of the one element of an array, hex */
  readonly initial?: string;

  /** Where struct bpf_spin_lock is in a value: its offset, which BTF would say */
  readonly spinLock?: number;

  /** No more writes over HTTP (BPF_MAP_FREEZE) */
  readonly frozen?: boolean;
}

export interface MapView {
  readonly id: string;

  /** As bpftool counts them */
  readonly number: number;
  readonly name: string;
  readonly type:
    | 'hash'
    | 'array'
    | 'prog_array'
    | 'perf_event_array'
    | 'percpu_hash'
    | 'percpu_array'
    | 'stack_trace'
    | 'lru_hash'
    | 'lru_percpu_hash'
    | 'ringbuf';
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;

  /** BPF_F_* that are set */
  readonly flags: readonly string[];
  readonly frozen: boolean;
  readonly spinLock: number | null;

  /** Values of an element: one for each CPU, or one */
  readonly cpus: number;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly memory: {
    /** Bytes that count against the limits */
    readonly reserved: number;
    /** Bytes of pages that were written */
    readonly used: number;
  };
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Programs that were loaded with it */
  readonly programs: readonly string[];
}

export interface ModuleAnswer {
  readonly name: string;
  readonly state: 'coming' | 'live' | 'going';
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Bytes of memory */
  readonly size: number;
  readonly sha256: string;
  readonly vermagic: string | null;
  readonly license: string | null;
  readonly counts: ModuleCounts;

  /** Modules whose symbols it uses */
  readonly uses: readonly string[];
  readonly usedBy: readonly string[];

  /** Attachments that keep it from being unloaded */
  readonly holders: readonly Holder[];
  readonly sections: readonly ModuleSection[];

  /** Sites that loading patched, by category */
  readonly patched: Readonly<Record<string, number>>;
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface ModuleCounts {
  readonly symbols: number;
  readonly exports: number;
  readonly ftraceSites: number;
  readonly jumpLabels: number;
  readonly staticCalls: number;
  readonly btfFunctions: number;
}

export interface ModuleDetails {
  readonly name: string;
  readonly state: 'coming' | 'live' | 'going';
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Bytes of memory */
  readonly size: number;
  readonly sha256: string;
  readonly vermagic: string | null;
  readonly license: string | null;
  readonly counts: ModuleCounts;

  /** Modules whose symbols it uses */
  readonly uses: readonly string[];
  readonly usedBy: readonly string[];

  /** Attachments that keep it from being unloaded */
  readonly holders: readonly Holder[];
  readonly sections: readonly ModuleSection[];

  /** Sites that loading patched, by category */
  readonly patched: Readonly<Record<string, number>>;
}

export interface ModulePage {
  readonly items: readonly ModuleView[];
  readonly nextCursor: string | null;
}

export interface ModuleSection {
  readonly name: string;
  readonly area: string;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly size: number;
}

export interface ModuleStateRequest {
  readonly state: 'live' | 'going';
}

export interface ModuleView {
  readonly name: string;
  readonly state: 'coming' | 'live' | 'going';
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Bytes of memory */
  readonly size: number;
  readonly sha256: string;
  readonly vermagic: string | null;
  readonly license: string | null;
  readonly counts: ModuleCounts;

  /** Modules whose symbols it uses */
  readonly uses: readonly string[];
  readonly usedBy: readonly string[];

  /** Attachments that keep it from being unloaded */
  readonly holders: readonly Holder[];
}

export interface Orphan {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly length: number;

  /** Bytes, lower-case hex */
  readonly expected: string;

  /** Bytes, lower-case hex */
  readonly actual: string;
}

export type OwnerKind =
  | 'kprobe'
  | 'kretprobe'
  | 'kprobe_multi'
  | 'kretprobe_multi'
  | 'fprobe'
  | 'ftrace'
  | 'ftrace_direct'
  | 'fentry'
  | 'fexit'
  | 'fmod_ret'
  | 'freplace'
  | 'lsm'
  | 'livepatch'
  | 'jump_label'
  | 'static_call'
  | 'tracepoint'
  | 'kgdb';

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

export interface PlanAnswer {
  readonly steps: readonly PlanStepAnswer[];
  readonly wouldSucceed: boolean;

  /** With `solve=order`: indexes of the request */
  readonly order?: readonly number[];
  readonly conflict?: ConflictAnswer;
  readonly search?: SearchAnswer;
  readonly kernel: string;
  readonly profile: string;
  readonly strictness: 'safe' | 'linux';
}

export interface PlanCostAnswer {
  readonly pokes: number;
  readonly batches: number;
  readonly syncRounds: number;
  readonly textMutexHeldUs: number;
  readonly graces: {
    readonly rcu: number;
    readonly rcu_tasks: number;
    readonly rcu_tasks_rude: number;
    readonly rcu_tasks_trace: number;
    /** Not a grace period: the last call through a BPF image has returned */
    readonly percpu_ref: number;
  };
  readonly estimate: EstimateAnswer | null;
  readonly later: { readonly pokes: number; readonly batches: number; readonly syncRounds: number } | null;
}

export interface PlanRequest {
  readonly steps: readonly PlanStep[];
}

/** Either `attach` or `detach` */
export interface PlanStep {
  /** 1 to 64 printable ASCII characters */
  readonly client?: string;
  readonly attach?: AttachRequest;

  /** An attachment id */
  readonly detach?: string;
}

export interface PlanStepAnswer {
  /** In the request */
  readonly index: number;
  readonly verdict: 'attached' | 'chained' | 'shared' | 'detached' | 'refused' | 'unknown';
  readonly errno?: string;
  readonly rule?: string;
  readonly problem?: Problem;
  readonly sites: readonly SiteAnswer[];
  readonly siteCount: number;
  readonly cost: PlanCostAnswer;
  readonly warnings: readonly string[];
}

export interface PokePage {
  readonly items: readonly PokeView[];
  readonly nextCursor: string | null;
}

export interface PokeView {
  readonly sequence: number;

  /** ISO 8601 */
  readonly time: string;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly attachment: string | null;
  readonly client: string;
  readonly reason: string;

  /** Bytes, lower-case hex */
  readonly before: string;

  /** Bytes, lower-case hex */
  readonly after: string;
}

export interface Problem {
  /** `/v1/rules/<rule>`, which documents the rule */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;

  /** The errno that Linux would return */
  readonly errno: string;
  readonly rule: string;
  readonly linux: string | null;
  readonly holders: readonly Holder[];
  readonly place: string | null;
  readonly remedies: readonly string[];
  readonly index: number | null;
  readonly expected: string | null;
  readonly actual: string | null;
  readonly log: string | null;
  readonly profile: string | null;
  readonly kernel: string | null;
  readonly strictness: 'safe' | 'linux' | null;
  readonly requestId: string;
  readonly errors?: readonly SchemaFinding[];
}

export interface ProgramFunction {
  readonly name: string;

  /** The context, or a whole number */
  readonly args: readonly ('ctx' | 'int')[];

  /** It can be traced, but nothing can take its place */
  readonly static?: boolean;
}

export interface ProgramList {
  readonly items: readonly ProgramView[];
}

export interface ProgramListingView {
  readonly id: string;
  readonly name: string;
  readonly type:
    | 'raw'
    | 'fentry'
    | 'fexit'
    | 'fmod_ret'
    | 'freplace'
    | 'lsm'
    | 'kprobe'
    | 'tracepoint'
    | 'raw_tracepoint'
    | 'tp_btf';
  readonly attachTo: string | null;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Instructions of the bytecode; a 64-bit immediate counts twice */
  readonly insns: number;
  readonly jited: {
    /** Bytes, lower-case hex */
    readonly bytes: string;
    readonly size: number;
    /** Address, 64 bits, lower-case hex */
    readonly address: string;
  };
  readonly maps: readonly string[];

  /** Attachments that run it */
  readonly attachments: readonly string[];
  readonly view: 'xlated' | 'jited';

  /** One instruction a line: as bpftool prog dump xlated, or x86 */
  readonly listing: string;
}

export interface ProgramPage {
  readonly items: readonly ProgramView[];
  readonly nextCursor: string | null;
}

export interface ProgramRequest {
  readonly type:
    | 'raw'
    | 'fentry'
    | 'fexit'
    | 'fmod_ret'
    | 'freplace'
    | 'lsm'
    | 'kprobe'
    | 'tracepoint'
    | 'raw_tracepoint'
    | 'tp_btf';

  /** Instructions, hex, 8 bytes each */
  readonly bytecode: string;

  /** The function that it is for */
  readonly attachTo?: string;
  readonly name?: string;

  /** It may sleep: fentry, fexit, fmod_ret and lsm */
  readonly sleepable?: boolean;

  /** Maps that instructions name by their place in this list (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE) */
  readonly maps?: readonly string[];

  /** What BTF says of its functions, the main one first; without it others cannot be attached to it */
  readonly functions?: readonly ProgramFunction[];
}

export interface ProgramRunAnswer {
  readonly returnValue: string | null;

  /** Executed: of BPF in the interpreter, of x86 via the JIT */
  readonly instructions: number;

  /** The memory afterwards, hex */
  readonly output: string;
  readonly via: 'jit' | 'interpreter';

  /** What bpf_trace_printk wrote */
  readonly log: readonly string[];
  readonly fault: { readonly reason: string; readonly instruction: number; readonly address: string | null } | null;
  readonly exceeded: 'maxInstructions' | 'maxMs' | null;
}

export interface ProgramRunRequest {
  /** Memory, hex: R1 points at it, or is 0 when it is empty; R2 is its length */
  readonly input?: string;
  readonly via?: 'jit' | 'interpreter';
  readonly maxInstructions?: number;
  readonly maxMs?: number;
}

export interface ProgramView {
  readonly id: string;
  readonly name: string;
  readonly type:
    | 'raw'
    | 'fentry'
    | 'fexit'
    | 'fmod_ret'
    | 'freplace'
    | 'lsm'
    | 'kprobe'
    | 'tracepoint'
    | 'raw_tracepoint'
    | 'tp_btf';
  readonly attachTo: string | null;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** Instructions of the bytecode; a 64-bit immediate counts twice */
  readonly insns: number;
  readonly jited: {
    /** Bytes, lower-case hex */
    readonly bytes: string;
    readonly size: number;
    /** Address, 64 bits, lower-case hex */
    readonly address: string;
  };
  readonly maps: readonly string[];

  /** Attachments that run it */
  readonly attachments: readonly string[];
}

export interface Ready {
  readonly status: 'ready';
  readonly release: string;

  /** The service was started with --inject-faults: commands may fail, and the process end, for a test */
  readonly faultInjection: boolean;
}

export interface ResetAnswer {
  readonly detached: number;
  readonly sequence: number;
}

export interface RuleList {
  readonly items: readonly RuleView[];
  readonly nextCursor: string | null;
}

export interface RuleView {
  readonly id: string;
  readonly title: string;
  readonly errno: string;
  readonly what: string;
  readonly why: string;
  readonly linux: string;
  readonly range: string;
  readonly strictness: 'both' | 'safe' | 'linux';
  readonly remedies: readonly string[];
  readonly facts?: readonly {
    readonly name: string;
    readonly title: string;
    readonly linux: string;
    readonly rules: readonly string[];
    readonly values: readonly { readonly since: string; readonly value: string; readonly source: string }[];
  }[];
}

/** As in examples/explorations */
export interface Scenario {
  readonly name: string;
  readonly about: string;

  /** How stale CPUs may fetch */
  readonly fetch: 'weak' | 'quad' | 'line' | 'sc';
  readonly text: readonly ScenarioText[];
  readonly variables?: Readonly<Record<string, string | readonly string[]>>;
  readonly attached?: readonly string[];
  readonly on?: Readonly<Record<string, readonly string[]>>;
  readonly patchers: readonly ScenarioPatcher[];
  readonly cpus: readonly ScenarioCpu[];

  /** Absent: all */
  readonly hold?: readonly (
    | 'no-mix'
    | 'int3-handled'
    | 'vector-held'
    | 'new-after-sync'
    | 'no-freed'
    | 'exactly-once'
    | 'text-mutex'
    | 'lock-order'
    | 'no-deadlock'
    | 'no-mismatch'
    | 'quiescent-bytes'
    | 'invariants'
  )[];
  readonly final?: Readonly<Record<string, readonly string[]>>;
}

export interface ScenarioCpu {
  readonly run: string;
  readonly times: number | 'forever';
  readonly irq?: ScenarioVisits;
  readonly nmi?: ScenarioVisits;

  /** RFLAGS for conditional jumps */
  readonly flags?: number;
}

export interface ScenarioOp {
  readonly op:
    | 'lock'
    | 'unlock'
    | 'trylock'
    | 'poke'
    | 'queue'
    | 'finish'
    | 'arm'
    | 'disarm'
    | 'add-kprobe'
    | 'del-kprobe'
    | 'detour-kprobe'
    | 'copy'
    | 'free'
    | 'wait'
    | 'set'
    | 'attached'
    | 'detaching';

  /** `lock`, `unlock`, `trylock` */
  readonly lock?:
    | 'kprobe_mutex'
    | 'cpus_read_lock'
    | 'jump_label_mutex'
    | 'text_mutex'
    | 'tr->mutex'
    | 'direct_mutex'
    | 'ftrace_lock'
    | 'cpus_write_lock'
    | 'module_mutex';
  readonly pokes?: readonly ScenarioPoke[];

  /** `queue`, `arm`, `disarm`, `add-kprobe`, `del-kprobe`, `detour-kprobe` */
  readonly at?: string;

  /** `detour-kprobe`: where who trapped goes on */
  readonly target?: string;

  /** `queue` */
  readonly to?: readonly string[];

  /** What must stand there; absent: what the text has there */
  readonly from?: readonly string[];

  /** What int3 handlers play instead */
  readonly emulate?: readonly string[];

  /** `add-kprobe`, `attached`, `detaching` */
  readonly owner?: string;

  /** `copy`, `free`: generated code */
  readonly name?: string;

  /** `wait` */
  readonly for?: 'rcu_tasks' | 'rcu_tasks_trace' | 'percpu_ref';

  /** `set` */
  readonly variable?: string;
  readonly value?: string | readonly string[];
}

export interface ScenarioPatcher {
  readonly do: readonly ScenarioOp[];
}

export interface ScenarioPoke {
  /** NAME, `NAME+0x5` or `0x1000` */
  readonly at: string;

  /** Instructions: hex bytes, `nop5`, `ret`, `int3`, `call NAME`, `jmp NAME`, `jmp8 NAME`, `je NAME`, `je8 NAME` */
  readonly to: readonly string[];

  /** What must stand there; absent: what the text has there */
  readonly from?: readonly string[];

  /** What int3 handlers play instead */
  readonly emulate?: readonly string[];
}

export interface ScenarioText {
  readonly name: string;

  /** `0x1000` counts from _text, `arena+0x100` from generated code */
  readonly at: string;

  /** Instructions: hex bytes, `nop5`, `ret`, `int3`, `call NAME`, `jmp NAME`, `jmp8 NAME`, `je NAME`, `je8 NAME` */
  readonly code?: readonly string[];

  /** What it does instead of having code */
  readonly does?: 'callback' | 'list' | 'indirect' | 'sleep' | 'trace-enter' | 'trace-exit' | 'ref-get' | 'ref-put';
  readonly owner?: string;
  readonly variable?: string;

  /** Generated code that does not exist at first */
  readonly absent?: boolean;
}

/** An interrupt or NMI: it may come at any boundary */
export interface ScenarioVisits {
  readonly run: string;
  readonly times: number;
}

export interface SchemaFinding {
  readonly in: string;
  readonly path: string;
  readonly schemaPath: string;
  readonly message: string;
}

export interface SearchAnswer {
  readonly decisions: number;
  readonly isComplete: boolean;
  readonly note: string;
}

export interface SectionView {
  readonly name: string;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly size: number;
  readonly executable: boolean;
  readonly writable: boolean;
}

export interface SessionAnswer {
  /** A secret: for `x-ktextd-session` and the session’s own calls */
  readonly id: string;

  /** Names it in events and answers; gives no right */
  readonly session: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly ttlMs: number;

  /** ISO 8601 */
  readonly expiresAt: string;
  readonly attachments: number;
}

export interface SessionEndAnswer {
  readonly session: string;
  readonly detached: number;

  /** They stay */
  readonly pinned: number;

  /** Cannot be detached now, and will be as soon as that is possible */
  readonly remaining: number;
}

export interface SessionPage {
  readonly items: readonly SessionView[];
  readonly nextCursor: string | null;
}

export interface SessionRequest {
  /** A label; without one the request’s */
  readonly client?: string;

  /** It ends when no heartbeat comes for so long */
  readonly ttlMs: number;
}

export interface SessionView {
  /** Names it in events and answers; gives no right */
  readonly session: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly ttlMs: number;

  /** ISO 8601 */
  readonly expiresAt: string;
  readonly attachments: number;
}

export interface SiteAnswer {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly place: string;

  /** Bytes, lower-case hex */
  readonly before: string;

  /** Bytes, lower-case hex */
  readonly after: string;

  /** `int3`, `ftrace`, `ftrace-direct`, … */
  readonly mechanism: string;

  /** Attachment ids in the order in which they run */
  readonly chain: readonly string[];
  readonly revision: number;

  /** What is left of each limited resource at this site */
  readonly budget: Readonly<Record<string, number>>;
}

export interface SiteOwner {
  readonly attachment: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly order: number;
}

export interface SitePage {
  readonly items: readonly SiteView[];
  readonly nextCursor: string | null;
}

export interface SiteView {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly symbol: string;
  readonly kind: string;

  /** Bytes, lower-case hex */
  readonly original: string;

  /** Bytes, lower-case hex */
  readonly current: string;
  readonly revision: number;
  readonly owners: readonly SiteOwner[];
  readonly quarantined: boolean;

  /** What is left of each limited resource at this site */
  readonly budget: Readonly<Record<string, number>>;
}

export interface SymbolPage {
  readonly items: readonly SymbolView[];
  readonly nextCursor: string | null;
}

export interface SymbolView {
  readonly name: string;

  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly size: number;
  readonly type: string;
  readonly module: string | null;
  readonly prototype: string | null;
  readonly attachable: Attachable;
  readonly why: Readonly<Record<string, string>>;
}

export interface SysctlRequest {
  readonly value: number;
}

export interface SysctlView {
  readonly name: string;

  /** 0 or 1 */
  readonly value: number;
}

export interface TaskMoveRequest {
  /** On a CPU, or asleep */
  readonly state?: 'running' | 'interruptible' | 'uninterruptible';

  /** The calls that the task is in, innermost first. A function without an offset is called, so a livepatch may send the task elsewhere */
  readonly stack?: readonly string[];

  /** Whether the stack can be unwound reliably */
  readonly reliable?: boolean;
}

export interface TaskPage {
  readonly items: readonly TaskView[];
  readonly nextCursor: string | null;
}

export interface TaskRequest {
  /** 1 to 15 printable ASCII characters, as comm */
  readonly name: string;
  readonly kind: 'user' | 'kthread' | 'idle';

  /** On a CPU, or asleep */
  readonly state?: 'running' | 'interruptible' | 'uninterruptible';

  /** The calls that the task is in, innermost first. A function without an offset is called, so a livepatch may send the task elsewhere */
  readonly stack?: readonly string[];

  /** Whether the stack can be unwound reliably */
  readonly reliable?: boolean;
}

export interface TaskView {
  readonly id: string;
  readonly name: string;
  readonly kind: 'user' | 'kthread' | 'idle';
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;

  /** On a CPU, or asleep */
  readonly state: 'running' | 'interruptible' | 'uninterruptible';

  /** Innermost first: where each call arrived, and the place that was asked for */
  readonly stack: readonly { readonly address: string; readonly place: string; readonly asked: string }[];

  /** Whether the stack can be unwound reliably */
  readonly reliable: boolean;
  readonly patchState: 'unpatched' | 'patched' | null;

  /** TIF_PATCH_PENDING */
  readonly patchPending: boolean;
}

export interface TextMutexView {
  readonly holder: string | null;
  readonly heldSinceMs: number | null;
  readonly waiting: readonly Waiter[];
  readonly acquisitions: number;
  readonly waitMs: Percentiles;
  readonly holdMs: Percentiles;
}

export interface TextView {
  /** Address, 64 bits, lower-case hex */
  readonly address: string;
  readonly symbol: string;

  /** Bytes, lower-case hex */
  readonly bytes: string;

  /** Bytes, lower-case hex */
  readonly original: string;
  readonly instructions: readonly InstructionView[];
  readonly owners: readonly SiteOwner[];
}

export interface TraceBytes {
  /** Hex */
  readonly now: string;

  /** For each CPU, by position, what else it may still fetch there; hex */
  readonly stale: readonly (readonly string[])[];
}

export interface TraceCpu {
  /** `f+0x5`, `int3 handler`, `idle`, `off` */
  readonly at: string;

  /** A sync waits for it */
  readonly isPending: boolean;

  /** May fetch something that is no longer there */
  readonly isStale: boolean;
}

export interface TracePipeLines {
  readonly lines: readonly {
    /** As the kernel prints it */
    readonly line: string;
    /** What bpf_trace_printk or bpf_trace_vprintk was given, formatted */
    readonly text: string;
    readonly cpu: number;
    /** bpf_ktime_get_ns when it was written */
    readonly timeNs: string;
    readonly attachment: string | null;
    readonly program: string | null;
  }[];

  /** Lines that made room for newer ones since lines were taken last */
  readonly lost: number;

  /** Lines behind them that are still there */
  readonly available: number;
}

export interface TracePlace {
  readonly name: string;
  readonly address: string;
  readonly length: number;
}

export interface TraceStep {
  readonly actor: string;
  readonly kind: 'run' | 'ipi' | 'irq' | 'nmi';
  readonly what: string;
  readonly cpus: readonly TraceCpu[];
  readonly bytes: readonly TraceBytes[];
}

export interface TraceViolation {
  readonly property: string;
  readonly detail: string;
}

export interface UnknownBytes {
  readonly category: string;
  readonly count: number;
  readonly reason: string;
}

export interface UnloadAnswer {
  readonly name: string;
  readonly verdict: 'unloaded';
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface Waiter {
  readonly client: string;
  readonly sinceMs: number;
}

export interface WorkloadCall {
  /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
  readonly function: string;
  readonly args?: readonly (
    | string
    | number
    | {
        /** Bytes, lower-case hex */
        readonly buffer: string;
      }
    | {
        /** A place: `tcp_set_state`, `tcp_set_state+0x10` or `0xffffffff81a3c4d0` */
        readonly symbol: string;
      }
  )[];

  /** Missing arguments by prototype */
  readonly sample?: boolean;
}

export interface WorkloadChanges {
  /** Of owners, while CPUs went on */
  readonly live: number;

  /** For which all calls had to end before */
  readonly stopped: number;
}

export interface WorkloadPage {
  readonly items: readonly WorkloadView[];
  readonly nextCursor: string | null;
}

export interface WorkloadRequest {
  /** All equally often */
  readonly calls: readonly WorkloadCall[];

  /** Default 4 */
  readonly cpus?: number;

  /** Default 100 */
  readonly callsPerSecond?: number;

  /** It ends by itself then; default 600 */
  readonly seconds?: number;
  readonly seed?: number;
}

export interface WorkloadView {
  readonly id: string;
  readonly client: string;

  /** ISO 8601 */
  readonly since: string;
  readonly state: 'running' | 'stopped' | 'failed';
  readonly why: string | null;
  readonly cpus: number;
  readonly functions: readonly string[];
  readonly callsPerSecond: number;
  readonly seconds: number;
  readonly seed: number;
  readonly started: number;
  readonly finished: number;
  readonly inFlight: number;

  /** By what calls ended with */
  readonly ended: Readonly<Record<string, number>>;
  readonly instructions: number;
  readonly hits: number;
  readonly misses: number;

  /** Calls that ran while text changed under them */
  readonly crossed: number;

  /** Traps into a poke under way */
  readonly pokeTraps: number;
  readonly changes: WorkloadChanges;

  /** Calls that did not fire whom they had to, or came to another result */
  readonly wrong: number;
  readonly firstWrong: string | null;
}
