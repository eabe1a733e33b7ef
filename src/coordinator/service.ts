/**
 * What the coordinator offers to the edge: one typed method per call of the HTTP contract. Everything here is ready for the wire:
 * addresses are `0x` strings, bytes lower-case hex, times ISO 8601.
 */
import type { Errno, Fault, Holder, Result } from '../base/index.ts';
import type { AttachRequest, GracePeriod, OwnerKind, RequestTarget, Strictness } from '../registry/index.ts';
import type { AbortNotice } from '../textpoke/index.ts';
import type { AttachmentCounters, CallAnswer, CallRequest, CallTotals } from './call-service.ts';
import type { CommandProgress } from './command.ts';
import type { EventType } from './event-types.ts';
import type { KernelsView, RuleView } from './kernels.ts';
import type { ExplorationCalls } from './service-explorations.ts';
import type { FaultCalls } from './service-faults.ts';
import type { MapCalls } from './service-maps.ts';
import type { ModuleCalls } from './service-modules.ts';
import type { ProgramCalls } from './service-programs.ts';
import type { BlameView, ImageView, PokeView, SiteView, SymbolView, TextView } from './service-reads.ts';
import type { SessionCalls } from './service-sessions.ts';
import type { LivepatchView, TaskCalls } from './service-tasks.ts';
import type { TracePipeCalls } from './service-trace-pipe.ts';
import type { WorkloadCalls } from './service-workloads.ts';

export { type GracePeriod, OWNER_KINDS, type OwnerKind, type Strictness } from '../registry/index.ts';
export type { AbortNotice } from '../textpoke/index.ts';
export type * from './call-service.ts';
export type { CommandProgress } from './command.ts';
export type { FactView, KernelsView, RuleView } from './kernels.ts';
export type * from './service-modules.ts';
export type * from './service-reads.ts';
export type * from './service-sessions.ts';

/** Who asks. */
export interface Caller {
  readonly client: string;
  readonly tenant: string;
  readonly isAdmin: boolean;
  readonly requestId: string;
  readonly signal?: AbortNotice;
  /** Secret of the session that the request names. */
  readonly session?: string;
  /** Longest wait for text_mutex, in milliseconds. */
  readonly deadlineMs?: number;
  /** Of a request with an Idempotency-Key: whose key, and what stands for the request. */
  readonly idempotency?: { readonly scope: string; readonly hash: string };
}

export interface AttachOptions {
  readonly ifMatch?: number;
  readonly allSites?: boolean;
  readonly pinned?: boolean;
}

export type Target = RequestTarget;
export type { AttachRequest };

export interface SiteAnswer {
  readonly address: string;
  readonly place: string;
  readonly before: string;
  readonly after: string;
  /** `int3`, `ftrace`, `ftrace-direct`, `ftrace-list`, … */
  readonly mechanism: string;
  /** Attachment ids at this site in the order in which they run. */
  readonly chain: readonly string[];
  readonly revision: number;
  /** Remaining budget of what is limited at this site (`{ipmodify: 0, direct: 1, bpfPrograms: 37}`). */
  readonly budget: Readonly<Record<string, number>>;
}

export interface CostAnswer {
  readonly pokes: number;
  readonly batches: number;
  readonly syncRounds: number;
  readonly textMutexHeldUs: number;
}

/** What others published about real machines, scaled by the number of sites. Never a measurement of this service. */
export interface EstimateAnswer {
  /** Absent (null) where what was published gives no number for one site. */
  readonly milliseconds: { readonly low: number; readonly high: number } | null;
  readonly figures: readonly { readonly published: string; readonly source: string }[];
  readonly note: string;
}

/** A forecast. All but `estimate` follow from the ops that attaching then carries out; `textMutexHeldUs` is 0. */
export interface PlanCostAnswer extends CostAnswer {
  /** Grace periods that must pass before generated code is freed. */
  readonly graces: Readonly<Record<GracePeriod, number>>;
  readonly estimate: EstimateAnswer | null;
  /** What the kprobe optimizer owes after the step, for this and all earlier ones: it writes that later and by itself. */
  readonly later: Pick<CostAnswer, 'pokes' | 'batches' | 'syncRounds'> | null;
}

export interface AttachAnswer {
  readonly id: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly verdict: 'attached' | 'chained' | 'shared';
  readonly siteCount: number;
  /** Absent for more than 1,000 sites unless asked for. */
  readonly sites?: readonly SiteAnswer[];
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export interface AttachmentView {
  readonly id: string;
  readonly kind: OwnerKind;
  readonly client: string;
  readonly since: string;
  readonly target: Target;
  readonly options: Readonly<Record<string, unknown>>;
  readonly enabled: boolean;
  readonly siteCount: number;
  readonly sites?: readonly SiteAnswer[];
  readonly sequence: number;
  /** Number of the session that holds it; null: it stays until somebody detaches it. */
  readonly session: string | null;
  /** It outlives its session. */
  readonly pinned: boolean;
  readonly counters: AttachmentCounters;
  /** Of a livepatch. */
  readonly livepatch?: LivepatchView;
}

export interface DetachOptions {
  readonly allSites?: boolean;
  /** Answer when the kprobe optimizer has taken the jump out that the last probe of a place leaves behind. */
  readonly untilUnoptimized?: boolean;
}

export interface DetachAnswer {
  readonly id: string;
  readonly verdict: 'detached';
  readonly siteCount: number;
  readonly sites?: readonly SiteAnswer[];
  /** Addresses whose bytes are pristine again. */
  readonly restored: readonly string[];
  readonly cost: CostAnswer;
  readonly sequence: number;
  readonly warnings: readonly string[];
}

export type PlanStep =
  | { readonly client?: string; readonly attach: AttachRequest }
  | { readonly client?: string; readonly detach: string };

export interface PlanStepAnswer {
  readonly index: number;
  readonly verdict: 'attached' | 'chained' | 'shared' | 'detached' | 'refused' | 'unknown';
  readonly errno?: Errno;
  readonly rule?: string;
  readonly problem?: Problem;
  readonly sites: readonly SiteAnswer[];
  readonly siteCount: number;
  readonly cost: PlanCostAnswer;
  readonly warnings: readonly string[];
}

/** Steps of a plan that no order can grant together. */
export interface ConflictAnswer {
  /** Indexes of the request, ascending. Leaving out any one of them ends this conflict. */
  readonly steps: readonly number[];
  /** Every smaller set was tried and can be granted; false: none was found, but not all were tried. */
  readonly isSmallest: boolean;
  /** What the last of them is told when they are attached in the order of the request. */
  readonly why: Problem;
}

/** How an order was looked for. */
export interface SearchAnswer {
  readonly decisions: number;
  /** False: given up at the bound, so neither an order nor a conflict is known. */
  readonly isComplete: boolean;
  readonly note: string;
}

export interface PlanAnswer {
  /** In the order in which they would happen; each says its index in the request. */
  readonly steps: readonly PlanStepAnswer[];
  readonly wouldSucceed: boolean;
  /** Only when an order was asked for and found: indexes of the request in that order. */
  readonly order?: readonly number[];
  /** Only when an order was asked for and there is none. */
  readonly conflict?: ConflictAnswer;
  /** Only when an order was asked for. */
  readonly search?: SearchAnswer;
  readonly kernel: string;
  readonly profile: string;
  readonly strictness: Strictness;
}

/** RFC 9457 without what only the edge knows (status, requestId). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly detail: string;
  readonly errno: Errno;
  readonly rule: string;
  readonly linux: string | null;
  readonly holders: readonly Holder[];
  readonly place: string | null;
  readonly remedies: readonly string[];
  readonly index: number | null;
  readonly expected: string | null;
  readonly actual: string | null;
  /** The verifier's log, when it refused. */
  readonly log: string | null;
  readonly profile: string;
  readonly kernel: string;
  readonly strictness: Strictness;
}

export interface AuditView {
  readonly bytesChecked: number;
  /** Bytes that differ from the pristine text (arena: from 0xCC). */
  readonly differing: number;
  /** Of those, bytes that an owner accounts for. */
  readonly attributed: number;
  readonly orphans: readonly {
    readonly address: string;
    readonly length: number;
    readonly expected: string;
    readonly actual: string;
  }[];
  readonly durationMs: number;
}

export interface ResetAnswer {
  readonly detached: number;
  readonly sequence: number;
}

export interface TextMutexView {
  readonly holder: string | null;
  readonly heldSinceMs: number | null;
  readonly waiting: readonly { readonly client: string; readonly sinceMs: number }[];
  readonly acquisitions: number;
  readonly waitMs: { readonly p50: number; readonly p99: number };
  readonly holdMs: { readonly p50: number; readonly p99: number };
}

/** Milliseconds a command waited for text_mutex and held it. */
export interface TextMutexListener {
  onAcquired(waitMs: number): void;
  onReleased(holdMs: number): void;
}

/** `sequence` ascends without a gap; it is the SSE id. */
export interface ServiceEvent {
  readonly sequence: number;
  readonly time: string;
  readonly type: EventType;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface SysctlView {
  readonly name: string;
  /** 0 or 1. */
  readonly value: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string;
}

/** What a request with an Idempotency-Key was answered in an earlier run of the service. */
export interface RecoveredAnswer {
  readonly scope: string;
  readonly hash: string;
  readonly timeMs: number;
  /** Kind of the command that it was. */
  readonly command: string;
  readonly value: unknown;
}

/** What only looks at the kernel. */
export type ReadCalls = Pick<
  Coordinator,
  'image' | 'symbols' | 'symbol' | 'text' | 'sites' | 'site' | 'siteHistory' | 'attachments' | 'attachment' | 'blame'
>;

/** The one door between HTTP and the kernel. Every fault is returned; a rejected promise is our bug. */
export interface Coordinator
  extends TaskCalls,
    SessionCalls,
    ProgramCalls,
    MapCalls,
    ExplorationCalls,
    ModuleCalls,
    FaultCalls,
    WorkloadCalls,
    TracePipeCalls {
  /** The same as it was right after the change that this event belongs to. Needs a journal. */
  readsAt(sequence: number): Promise<Result<ReadCalls>>;
  /** Who changed these bytes, when, and what they hide. */
  blame(place: string, length: number): Result<BlameView>;
  image(): ImageView;
  reset(caller: Caller, all: boolean): Promise<Result<ResetAnswer>>;
  symbols(query: { readonly match?: string; readonly attachable?: string } & PageRequest): Result<Page<SymbolView>>;
  symbol(name: string): Result<SymbolView>;
  text(place: string, length: number): Result<TextView>;
  sites(query: { readonly state?: 'patched' | 'quarantined' } & PageRequest): Result<Page<SiteView>>;
  site(place: string): Result<SiteView>;
  siteHistory(place: string, page: PageRequest): Result<Page<PokeView>>;
  /** `ifMatch` is a site revision; when the site has moved on the fault's rule is `precondition.site-revision` (the edge answers 412). */
  attach(caller: Caller, request: AttachRequest, options: AttachOptions): Promise<Result<AttachAnswer>>;
  attachments(
    query: { readonly client?: string; readonly kind?: string; readonly place?: string } & PageRequest,
  ): Result<Page<AttachmentView>>;
  attachment(id: string, allSites?: boolean): Result<AttachmentView>;
  setEnabled(caller: Caller, id: string, enabled: boolean): Promise<Result<AttachmentView>>;
  /** Forces the tasks that a livepatch's transition waits for to go over. */
  force(caller: Caller, id: string): Promise<Result<AttachmentView>>;
  detach(caller: Caller, id: string, options?: DetachOptions): Promise<Result<DetachAnswer>>;
  /**
   * `kernel` as in `?kernel=6.6`; a version whose rules are not built answers `unknown` at each step. With `solve: 'order'` the steps may
   * change places: an order in which all are granted, or the smallest set of steps for which there is none.
   */
  plan(
    caller: Caller,
    steps: readonly PlanStep[],
    kernel?: string,
    options?: { readonly solve?: 'order' },
  ): Result<PlanAnswer>;
  audit(): AuditView;
  /** Calls a function of the kernel on a simulated CPU, in a thread, with everything attached that is attached now. */
  call(caller: Caller, request: CallRequest): Promise<Result<CallAnswer>>;
  callTotals(): CallTotals;
  /** What `cat /sys/kernel/NAME` prints: `tracing/enabled_functions`, `debug/kprobes/list`, … */
  kernelView(name: string): Result<string>;
  sysctl(name: string): Result<SysctlView>;
  /** Writes a sysctl for everyone. The edge lets only administrators through. */
  setSysctl(caller: Caller, name: string, value: number): Promise<Result<SysctlView>>;
  textMutex(): TextMutexView;
  /** The versions whose rules are built, and the facts in which they differ. */
  kernels(): KernelsView;
  rules(): readonly RuleView[];
  rule(id: string): RuleView | undefined;
  /** Turns a fault into the problem document the edge sends. */
  problem(fault: Fault): Problem;
  /** Answers that a repeat of their request gets again, oldest first. Empty when nothing was recovered. */
  recoveredAnswers(): readonly RecoveredAnswer[];
  /** First retained and last event sequence. */
  eventRange(): { readonly first: number; readonly last: number };
  /** Retained events with sequence > after, oldest first, at most `limit`. */
  eventsAfter(after: number, limit: number): readonly ServiceEvent[];
  /** Calls back after each new event; returns the unsubscriber. Listeners must not throw and must return at once. */
  onEvent(listener: (event: ServiceEvent) => void): () => void;
  /** Calls back now and then while a command works for long; returns the unsubscriber. As {@link onEvent}, it must return at once. */
  onProgress(listener: (progress: CommandProgress) => void): () => void;
  /** Calls back at each turn of text_mutex; returns the unsubscriber. As {@link onEvent}, it must return at once. */
  onTextMutex(listener: TextMutexListener): () => void;
  /**
   * Runs the kprobe optimizer until it owes nothing, without waiting for its delay: probes that can are jumps then, and what was disarmed is out of
   * text. It runs by itself a few jiffies after it was kicked.
   */
  waitForKprobeOptimizer(): Promise<void>;
  /** Refuses new commands (ECANCELED `service.stopping`), waits for the text_mutex queue to drain. */
  close(): Promise<void>;
  /** The first invariant violation, when there was one: writes are refused from then on, reads go on. */
  poisoned(): string | undefined;
}
