/** Explorations: each in a thread of its own, within a budget; a few at once, and the results of the last ones. */
import { err, ok, type Result } from '../base/index.ts';
import {
  actorsOf,
  type ExplorationJob,
  MUTANTS,
  parseSchedule,
  type RunningExploration,
  readScenario,
  type Scenario,
  ScenarioError,
  startExploration,
  type ThreadEnd,
  traceSvg,
} from '../explore/index.ts';
import { refuse } from '../registry/index.ts';
import {
  EXPLORATION_NO_TRACE,
  EXPLORATION_NOT_YOURS,
  EXPLORATION_QUOTA,
  EXPLORATION_SCENARIO,
  EXPLORATION_UNKNOWN,
} from './exploration-rules.ts';
import type { Kernel } from './kernel.ts';
import { pageOf } from './paging.ts';
import type { Caller, Page, PageRequest } from './service.ts';
import type {
  Counterexample,
  ExplorationCalls,
  ExplorationProgress,
  ExplorationRequest,
  ExplorationResult,
  ExplorationSummary,
  ExplorationView,
} from './service-explorations.ts';

const RUNNING_MAX = 2;
/** Those that are done and forgotten last. */
const KEPT_MAX = 64;
const MAX_MS = 1_800_000;
const DEFAULT_MS = 60_000;
/** About 60 bytes each. */
const MAX_STATES = 10_000_000;
const DEFAULT_STATES = 2_000_000;
/** Between two events that say how far one is. */
const PROGRESS_EVERY_MS = 1_000;

interface Entry {
  readonly id: string;
  readonly tenant: string;
  readonly client: string;
  readonly sinceMs: number;
  readonly startUs: number;
  readonly job: ExplorationJob;
  readonly thread: RunningExploration;
  progress: ExplorationProgress;
  toldMs: number;
  end: ThreadEnd | undefined;
}

/** What the request asks for, within what is allowed. */
function jobOf(request: ExplorationRequest): Result<ExplorationJob> {
  const invalid = (detail: string): Result<never> => err(refuse(EXPLORATION_SCENARIO, { detail }));
  const { mutant, strategy, maxSteps } = request;
  let scenario: Scenario;
  try {
    scenario = readScenario(request.scenario);
  } catch (error) {
    if (error instanceof ScenarioError) return invalid(`${error.message}.`);
    throw error;
  }
  if (mutant !== undefined && !MUTANTS.has(mutant)) return invalid(`${mutant} is none of the known bugs.`);
  if (strategy.kind === 'replay' && parseSchedule(actorsOf(scenario), strategy.schedule) === undefined)
    return invalid(`${strategy.schedule.slice(0, 100)} is no schedule of ${scenario.name}.`);
  return ok({
    scenario,
    strategy,
    maxMs: Math.min(request.maxMs ?? DEFAULT_MS, MAX_MS),
    maxStates: Math.min(request.maxStates ?? DEFAULT_STATES, MAX_STATES),
    ...(mutant === undefined ? {} : { mutant }),
    ...(maxSteps === undefined ? {} : { maxSteps }),
  });
}

export class Explorations {
  readonly #kernel: Kernel;
  /** In the order in which they were begun. */
  readonly #entries = new Map<string, Entry>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  get #running(): readonly Entry[] {
    return [...this.#entries.values()].filter(({ end }) => end === undefined);
  }

  begin(caller: Caller, request: ExplorationRequest): Result<ExplorationView> {
    const job = jobOf(request);
    if (!job.ok) return job;
    const running = this.#running.length;
    if (running >= RUNNING_MAX)
      return err(refuse(EXPLORATION_QUOTA, { detail: `${running} explorations run already.` }));
    const { clock } = this.#kernel;
    const id = this.#kernel.newId('expl');
    const entry: Entry = {
      id,
      tenant: caller.tenant,
      client: caller.client,
      sinceMs: clock.now(),
      startUs: clock.monotonicUs(),
      job: job.value,
      thread: startExploration(job.value, { clock, onProgress: (figures) => this.#onProgress(id, figures) }),
      progress: { states: 0, steps: 0, schedules: 0, depthMax: 0, elapsedMs: 0 },
      toldMs: 0,
      end: undefined,
    };
    this.#entries.set(id, entry);
    this.#tell(entry, 'started');
    entry.thread.end.then((end) => this.#onEnd(entry, end));
    return ok(viewOf(entry));
  }

  list(query: PageRequest): Result<Page<ExplorationSummary>> {
    return pageOf([...this.#entries.values()].reverse(), query, summaryOf);
  }

  one(id: string): Result<ExplorationView> {
    const entry = this.#entries.get(id);
    return entry === undefined ? this.#unknown(id) : ok(viewOf(entry));
  }

  /** SVG. */
  picture(id: string): Result<string> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return this.#unknown(id);
    const { end, job } = entry;
    if (end?.trace !== undefined) return ok(traceSvg(end.trace, job.scenario.name));
    const state = end === undefined ? 'still runs' : 'has no run to show';
    return err(refuse(EXPLORATION_NO_TRACE, { detail: `${id} ${state}.` }));
  }

  async delete(caller: Caller, id: string): Promise<Result<ExplorationSummary>> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return this.#unknown(id);
    if (!caller.isAdmin && caller.tenant !== entry.tenant)
      return err(refuse(EXPLORATION_NOT_YOURS, { detail: `${id} belongs to another tenant.` }));
    this.#entries.delete(id);
    await entry.thread.stop();
    this.#tell(entry, 'deleted');
    return ok({ ...summaryOf(entry), state: 'deleted' });
  }

  /** Ends all that run. */
  async close(): Promise<void> {
    await Promise.all(this.#running.map(({ thread }) => thread.stop()));
  }

  #unknown(id: string): Result<never> {
    return err(refuse(EXPLORATION_UNKNOWN, { detail: `${id} is no exploration.` }));
  }

  #onProgress(id: string, figures: ThreadEnd['figures']): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const elapsedMs = Math.round((this.#kernel.clock.monotonicUs() - entry.startUs) / 1000);
    entry.progress = { ...figures, elapsedMs };
    if (elapsedMs - entry.toldMs < PROGRESS_EVERY_MS) return;
    entry.toldMs = elapsedMs;
    this.#tell(entry, 'progress');
  }

  #onEnd(entry: Entry, end: ThreadEnd): void {
    entry.end = end;
    entry.progress = { ...end.figures, elapsedMs: Math.round(end.elapsedMs) };
    if (end.outcome === 'stopped') return;
    this.#tell(entry, 'done');
    const done = [...this.#entries.values()].filter((each) => each.end !== undefined);
    for (const { id } of done.slice(0, Math.max(0, done.length - KEPT_MAX))) this.#entries.delete(id);
  }

  #tell({ id, client, job, progress, end }: Entry, what: 'started' | 'progress' | 'done' | 'deleted'): void {
    const { scenario, mutant = null } = job;
    const ended = what === 'done' ? { outcome: end?.outcome, property: end?.violation?.property ?? null } : {};
    this.#kernel.events.append('exploration', {
      exploration: id,
      what,
      scenario: scenario.name,
      mutant,
      client,
      ...progress,
      ...ended,
    });
  }
}

function summaryOf({ id, client, sinceMs, job, progress, end }: Entry): ExplorationSummary {
  const { scenario, mutant = null, strategy, maxMs, maxStates, maxSteps = null } = job;
  return {
    id,
    scenario: scenario.name,
    client,
    since: new Date(sinceMs).toISOString(),
    state: end === undefined ? 'running' : 'done',
    mutant,
    strategy,
    budget: { maxMs, maxStates, maxSteps },
    progress,
    result: end === undefined ? null : resultOf(job, end),
  };
}

const viewOf = (entry: Entry): ExplorationView => ({ ...summaryOf(entry), trace: entry.end?.trace ?? null });

function resultOf(job: ExplorationJob, end: ThreadEnd): ExplorationResult | null {
  const { outcome, isExhaustive, bound = null, detail = null } = end;
  if (outcome === 'stopped') return null;
  return { outcome, exhaustive: isExhaustive, bound, detail, counterexample: counterexampleOf(job, end) };
}

function counterexampleOf({ scenario, mutant }: ExplorationJob, end: ThreadEnd): Counterexample | null {
  const { violation, schedule: found = '', shrunk = found } = end;
  if (violation === undefined) return null;
  const bug = mutant === undefined ? '' : ` --mutant ${mutant}`;
  return {
    ...violation,
    schedule: shrunk,
    steps: shrunk === '' ? 0 : shrunk.split('-').length,
    found,
    replay: `ktextd explore ${fileOf(scenario)}${bug} --replay ${shrunk}`,
  };
}

/** Whoever sent it knows where the file is; the name is what the file is called by. */
const fileOf = ({ name }: Scenario): string => (/^[\w.-]+$/.test(name) ? `${name}.json` : 'FILE');

export const explorationCalls = (explorations: Explorations): ExplorationCalls => ({
  newExploration: (caller, request) => explorations.begin(caller, request),
  explorations: (query) => explorations.list(query),
  exploration: (id) => explorations.one(id),
  explorationPicture: (id) => explorations.picture(id),
  deleteExploration: (caller, id) => explorations.delete(caller, id),
});
