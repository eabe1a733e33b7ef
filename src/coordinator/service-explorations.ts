/** What the coordinator offers of explorations; a part of service.ts. */
import type { Result } from '../base/index.ts';
import type { Strategy, ThreadEnd, Trace } from '../explore/index.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export type { Strategy, Trace } from '../explore/index.ts';
export { BUILTINS, GRACE_PERIODS, LOCKS, MUTANTS, PROPERTIES } from '../explore/index.ts';

export interface ExplorationRequest {
  /** As in a file; it is read again, so it may be anything. */
  readonly scenario: unknown;
  /** Name of a known bug to put in. */
  readonly mutant?: string;
  readonly strategy: Strategy;
  readonly maxMs?: number;
  readonly maxStates?: number;
  readonly maxSteps?: number;
}

export interface ExplorationProgress {
  readonly states: number;
  readonly steps: number;
  readonly schedules: number;
  readonly depthMax: number;
  readonly elapsedMs: number;
}

/** What does not hold, and the schedule that shows it. */
export interface Counterexample {
  readonly property: string;
  readonly detail: string;
  /** As short as it could be made. */
  readonly schedule: string;
  readonly steps: number;
  /** As it was found. */
  readonly found: string;
  /** A command line that shows it again. */
  readonly replay: string;
}

export interface ExplorationResult {
  /** `bound`: nothing was found up to it. `refused`: the scenario does not allow the schedule. `failed`: `detail` says why. */
  readonly outcome: Exclude<ThreadEnd['outcome'], 'stopped'>;
  /** True when `holds` speaks for every schedule. */
  readonly exhaustive: boolean;
  readonly bound: ThreadEnd['bound'] | null;
  readonly detail: string | null;
  readonly counterexample: Counterexample | null;
}

export interface ExplorationSummary {
  readonly id: string;
  /** Name of the scenario. */
  readonly scenario: string;
  readonly client: string;
  /** ISO 8601. */
  readonly since: string;
  readonly state: 'running' | 'done' | 'deleted';
  readonly mutant: string | null;
  readonly strategy: Strategy;
  /** What it may use: what was asked for, within what the service allows. */
  readonly budget: { readonly maxMs: number; readonly maxStates: number; readonly maxSteps: number | null };
  readonly progress: ExplorationProgress;
  readonly result: ExplorationResult | null;
}

export interface ExplorationView extends ExplorationSummary {
  /** Of the counterexample, or of what was replayed. */
  readonly trace: Trace | null;
}

export interface ExplorationCalls {
  /** Begins to explore in a thread of its own. */
  newExploration(caller: Caller, request: ExplorationRequest): Result<ExplorationView>;
  explorations(query: PageRequest): Result<Page<ExplorationSummary>>;
  exploration(id: string): Result<ExplorationView>;
  /** Its trace as SVG. */
  explorationPicture(id: string): Result<string>;
  /** Stops it, when it runs, and forgets it. */
  deleteExploration(caller: Caller, id: string): Promise<Result<ExplorationSummary>>;
}
