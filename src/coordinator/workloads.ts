/** Workloads: each in a thread of its own, at a bounded rate and for a bounded time; a few at once, and the figures of the last ones. */
import { err, ok, type Result } from '../base/index.ts';
import {
  CPU_COUNT,
  type FromWorkload,
  type MachineCall,
  type WorkloadReport,
  WorkloadThread,
} from '../machine/index.ts';
import { refuse } from '../registry/index.ts';
import { readArguments } from './call-arguments.ts';
import { ftraceDied } from './ftrace-death.ts';
import type { Kernel } from './kernel.ts';
import type { MachineStates } from './machine-state.ts';
import { pageOf } from './paging.ts';
import { textOffsetOf } from './places.ts';
import type { Caller, Page, PageRequest } from './service.ts';
import type { WorkloadCalls, WorkloadRequest, WorkloadView } from './service-workloads.ts';
import { keepTraced } from './trace-pipe.ts';
import { WORKLOAD_NOT_YOURS, WORKLOAD_QUOTA, WORKLOAD_UNKNOWN } from './workload-rules.ts';

const RUNNING_MAX = 2;
const KEPT_MAX = 64;
/** A function that takes more is no part of a background. */
const MAX_INSTRUCTIONS = 100_000;
const DEFAULT_RATE = 100;
const DEFAULT_SECONDS = 600;
/** How often a change of owners is looked for. */
const LOOK_EVERY_MS = 20;

const NO_REPORT: WorkloadReport = {
  counts: {
    started: 0,
    finished: 0,
    wrong: 0,
    instructions: 0,
    crossed: 0,
    pokeTraps: 0,
    liveChanges: 0,
    stoppedChanges: 0,
  },
  inFlight: 0,
  version: 0,
  ended: {},
  fired: [],
  misses: [],
  traced: [],
};

interface Entry {
  readonly id: string;
  readonly caller: Caller;
  readonly sinceMs: number;
  readonly request: Required<Omit<WorkloadRequest, 'calls'>>;
  readonly functions: readonly string[];
  thread: WorkloadThread | undefined;
  report: WorkloadReport;
  ended: Record<string, number>;
  hits: number;
  misses: number;
  state: WorkloadView['state'];
  why: string | null;
  firstWrong: string | null;
}

export class Workloads {
  readonly #kernel: Kernel;
  readonly #states: MachineStates;
  /** In the order in which they were started. */
  readonly #entries = new Map<string, Entry>();
  #stopLooking: (() => void) | undefined;

  constructor(kernel: Kernel, states: MachineStates) {
    this.#kernel = kernel;
    this.#states = states;
  }

  get #running(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ state }) => state === 'running');
  }

  #mix(request: WorkloadRequest): Result<readonly MachineCall[]> {
    const mix: MachineCall[] = [];
    for (const call of request.calls) {
      const at = textOffsetOf(this.#kernel.view(), call.function);
      if (!at.ok) return at;
      const args = readArguments(this.#kernel, call, at.value);
      if (!args.ok) return args;
      const address = this.#kernel.world.image.base + BigInt(at.value);
      const limits = { cpu: 0, maxInstructions: MAX_INSTRUCTIONS, maxMs: 60_000, traceMax: 0 };
      mix.push({ function: address, args: args.value, ...limits });
    }
    return ok(mix);
  }

  startWorkload(caller: Caller, request: WorkloadRequest): Result<WorkloadView> {
    const mix = this.#mix(request);
    if (!mix.ok) return mix;
    const running = this.#running.length;
    if (running >= RUNNING_MAX) return err(refuse(WORKLOAD_QUOTA, { detail: `${running} workloads run already.` }));
    const { cpus = CPU_COUNT, callsPerSecond = DEFAULT_RATE, seconds = DEFAULT_SECONDS, seed = 1 } = request;
    const entry: Entry = {
      id: this.#kernel.newId('wkl'),
      caller,
      sinceMs: this.#kernel.clock.now(),
      request: { cpus, callsPerSecond, seconds, seed },
      functions: request.calls.map((call) => call.function),
      thread: undefined,
      report: NO_REPORT,
      ended: {},
      hits: 0,
      misses: 0,
      state: 'running',
      why: null,
      firstWrong: null,
    };
    const state = this.#states.present();
    const start = { ...this.#states.start(cpus), state, mix: mix.value, seed, callsPerSecond, maxMs: seconds * 1000 };
    entry.thread = new WorkloadThread(start, (message) => this.#hear(entry, message));
    this.#entries.set(entry.id, entry);
    this.#tell(entry, 'started');
    this.#look();
    return ok(viewOf(entry));
  }

  /** Shows changes of owners to those that run, until none does. */
  #look(): void {
    if (this.#stopLooking !== undefined) return;
    this.#stopLooking = this.#kernel.clock.after(LOOK_EVERY_MS, () => {
      this.#stopLooking = undefined;
      const running = this.#running;
      if (running.length === 0) return;
      const state = this.#states.present();
      for (const { thread } of running) thread?.show(state);
      this.#look();
    });
  }

  #hear(entry: Entry, message: FromWorkload): void {
    if (message.kind === 'failed') {
      entry.state = 'failed';
      entry.why = message.detail;
    } else this.#count(entry, message.report);
    if (message.kind === 'ended') {
      entry.state = 'stopped';
      entry.why = message.why;
    }
    if (message.kind === 'report') return;
    this.#tell(entry, entry.state);
    const done = [...this.#entries.values()].filter(({ state }) => state !== 'running');
    for (const { id } of done.slice(0, Math.max(0, done.length - KEPT_MAX))) this.#entries.delete(id);
  }

  #count(entry: Entry, report: WorkloadReport): void {
    const { state, counters } = this.#kernel;
    entry.report = report;
    for (const [ended, count] of Object.entries(report.ended)) entry.ended[ended] = (entry.ended[ended] ?? 0) + count;
    entry.hits += report.fired.reduce((sum, { hits }) => sum + hits, 0);
    entry.misses += report.misses.reduce((sum, { count }) => sum + count, 0);
    counters.countMany(report, (id) => state.attachments.get(id)?.kind);
    counters.prune((id) => state.attachments.has(id));
    keepTraced(this.#kernel, entry.caller, report.traced);
    if (report.wrong !== undefined && entry.firstWrong === null) {
      entry.firstWrong = `${entry.functions[report.wrong.call]}: ${report.wrong.detail}`;
      this.#tell(entry, 'wrong');
    }
    // Fails only when the service is stopping.
    if (report.ftraceDiedAt !== undefined) void ftraceDied(this.#kernel, entry.caller, report.ftraceDiedAt);
  }

  #tell(
    { id, caller, functions, report, hits, firstWrong }: Entry,
    what: WorkloadView['state'] | 'started' | 'wrong',
  ): void {
    const { started, finished, wrong } = report.counts;
    const detail = firstWrong === null ? {} : { detail: firstWrong };
    const figures = { started, finished, wrong, hits, ...detail };
    this.#kernel.events.append('workload', { workload: id, what, client: caller.client, functions, ...figures });
  }

  workloads(page: PageRequest): Result<Page<WorkloadView>> {
    return pageOf([...this.#entries.values()].reverse(), page, viewOf);
  }

  workload(id: string): Result<WorkloadView> {
    const entry = this.#entries.get(id);
    return entry === undefined ? this.#unknown(id) : ok(viewOf(entry));
  }

  async stopWorkload(caller: Caller, id: string): Promise<Result<WorkloadView>> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return this.#unknown(id);
    if (!caller.isAdmin && caller.tenant !== entry.caller.tenant)
      return err(refuse(WORKLOAD_NOT_YOURS, { detail: `${id} belongs to another tenant.` }));
    await entry.thread?.stop();
    return ok(viewOf(entry));
  }

  #unknown(id: string): Result<never> {
    return err(refuse(WORKLOAD_UNKNOWN, { detail: `${id} is no workload.` }));
  }

  /** Ends all that run. */
  async close(): Promise<void> {
    this.#stopLooking?.();
    await Promise.all(this.#running.map(({ thread }) => thread?.stop()));
  }
}

function viewOf(entry: Entry): WorkloadView {
  const { id, caller, sinceMs, request, functions, report, ended, hits, misses, state, why, firstWrong } = entry;
  const { started, finished, wrong, instructions, crossed, pokeTraps, liveChanges, stoppedChanges } = report.counts;
  return {
    id,
    client: caller.client,
    since: new Date(sinceMs).toISOString(),
    state,
    why,
    functions,
    ...request,
    started,
    finished,
    inFlight: report.inFlight,
    ended,
    instructions,
    hits,
    misses,
    crossed,
    pokeTraps,
    changes: { live: liveChanges, stopped: stoppedChanges },
    wrong,
    firstWrong,
  };
}

export const workloadCalls = (workloads: Workloads): WorkloadCalls => ({
  startWorkload: (caller, request) => workloads.startWorkload(caller, request),
  workloads: (page) => workloads.workloads(page),
  workload: (id) => workloads.workload(id),
  stopWorkload: (caller, id) => workloads.stopWorkload(caller, id),
});
