import { type Clock, invariant } from '../base/index.ts';
import { TextMutex } from '../textpoke/index.ts';
import { ScenarioError } from './scenario/assemble.ts';
import type { Scenario } from './scenario/scenario.ts';
import { parseSchedule, printSchedule, type Schedule } from './schedule/schedule.ts';
import { type ExhaustiveCheckpoint, ExhaustiveSearch } from './search/exhaustive.ts';
import type { Search, SearchBound, SearchFigures, SearchOutcome } from './search/outcome.ts';
import { replay } from './search/replay.ts';
import { Pct, SampleSearch, uniform } from './search/sample.ts';
import { shrink } from './search/shrink.ts';
import type { Violation } from './search/space.ts';
import { runTwice } from './search/twice.ts';
import { type Trace, traceOf } from './trace/trace.ts';
import type { Mutation } from './world/mutation.ts';
import { World } from './world/world.ts';

export type Strategy =
  /** Every state, depth first, or breadth first for a shortest schedule; breadth first up to schedules of `depthMax` steps. */
  | { readonly kind: 'exhaustive'; readonly order?: 'depth' | 'breadth'; readonly depthMax?: number }
  | { readonly kind: 'random'; readonly seed: number; readonly schedules: number }
  | { readonly kind: 'pct'; readonly seed: number; readonly schedules: number; readonly changes: number }
  | { readonly kind: 'replay'; readonly schedule: string };

export interface ExploreRequest {
  readonly scenario: Scenario;
  readonly mutation?: Mutation;
  readonly strategy: Strategy;
  readonly maxMs: number;
  readonly maxStates: number;
  readonly maxSteps?: number;
  /** Neither carries on over steps that nobody sees, nor takes CPUs that do the same for each other. */
  readonly isUnreduced?: boolean;
}

export interface ExploreHooks {
  readonly clock: Clock;
  readonly onProgress?: (figures: SearchFigures) => void;
  /** Told at once when something does not hold; making the schedule shorter comes after it. */
  readonly onFound?: (found: Found) => void;
  /** Asked between pieces of work. */
  readonly isStopped?: () => boolean;
  /** What an earlier, interrupted search of the same request left. */
  readonly checkpoint?: ExhaustiveCheckpoint;
}

/** As it was found, before it is shrunk. */
export interface Found {
  readonly violation: Violation;
  readonly schedule: string;
  readonly figures: SearchFigures;
}

export interface Exploration {
  /** `bound`: nothing was found up to it. `refused`: a replay whose schedule the scenario does not allow. */
  readonly outcome: 'holds' | 'violated' | 'bound' | 'stopped' | 'refused';
  /** True when `holds` speaks for every schedule. */
  readonly isExhaustive: boolean;
  readonly bound?: SearchBound;
  readonly figures: SearchFigures;
  readonly elapsedMs: number;
  readonly violation?: Violation;
  /** As it was found, and without the steps that are not needed. */
  readonly schedule?: string;
  readonly shrunk?: string;
  /** Of the shrunk schedule, or of the one that was replayed. */
  readonly trace?: Trace;
  /** After a stop or a bound: makes what to go on from, which is as large as the search. */
  readonly checkpoint?: () => ExhaustiveCheckpoint;
}

/** Steps between two looks at the clock. */
const SLICE = 20_000;

/** Explores one scenario under one strategy, in pieces, so that the event loop of its thread lives. */
export async function explore(request: ExploreRequest, hooks: ExploreHooks): Promise<Exploration> {
  const mutex = new TextMutex({ clock: hooks.clock });
  const run = await mutex.run({ client: 'explore', what: request.scenario.name }, async (held) => {
    const { scenario, mutation, isUnreduced = false } = request;
    const options = { held, scenario, isUnreduced, isAsymmetric: isUnreduced };
    const makeWorld = (): World => new World(mutation === undefined ? options : { ...options, mutation });
    if (request.strategy.kind === 'replay') return replayed(makeWorld(), request.strategy.schedule);
    checkDeterminism(makeWorld);
    const done = await searched(makeWorld(), request, hooks);
    checkCounterexample(makeWorld, done);
    return done;
  });
  if (!run.ok) throw new Error(run.fault.detail);
  return run.value;
}

/** Small: it is done before every search. The tests run more of them. */
const TWICE = { seed: 1, schedules: 2, stepsMax: 60 } as const;

/** A search is worth nothing when a schedule does not decide what happens. */
function checkDeterminism(makeWorld: () => World): void {
  const divergence = runTwice(makeWorld, TWICE);
  invariant(divergence === undefined, () => `a schedule that ran twice came to two ends: ${divergence?.what}`);
}

/** What was found in a world that has seen millions of states must be there in one that has seen none. */
function checkCounterexample(makeWorld: () => World, { violation, shrunk }: Exploration): void {
  if (violation === undefined || shrunk === undefined) return;
  const world = makeWorld();
  const again = replay(world, parseSchedule(world.actors, shrunk) ?? []).violation;
  const isSame = again?.property === violation.property && again.detail === violation.detail;
  invariant(isSame, () => `${shrunk} was ${violation.detail} and then ${again?.detail ?? 'nothing'}`);
}

const NO_FIGURES: SearchFigures = { states: 0, steps: 0, schedules: 0, depthMax: 0 };

function replayed(world: World, text: string): Exploration {
  const schedule = parseSchedule(world.actors, text);
  if (schedule === undefined) throw new ScenarioError(`${text} is no schedule of this scenario`);
  const run = replay(world, schedule);
  const figures = { ...NO_FIGURES, steps: run.steps.length, schedules: 1, depthMax: run.steps.length };
  const trace = traceOf(world, run);
  const base = { isExhaustive: false, figures, elapsedMs: 0, schedule: text, trace };
  if (run.refusedAt !== undefined) return { ...base, outcome: 'refused' };
  return run.violation === undefined
    ? { ...base, outcome: 'holds' }
    : { ...base, outcome: 'violated', violation: run.violation };
}

function makeSearch(world: World, request: ExploreRequest, checkpoint: ExhaustiveCheckpoint | undefined): Search {
  const { strategy, maxStates } = request;
  switch (strategy.kind) {
    case 'exhaustive': {
      const { order = 'depth', depthMax } = strategy;
      const deep = depthMax === undefined ? {} : { depthMax };
      return new ExhaustiveSearch(world, { order, statesMax: maxStates, ...deep }, checkpoint);
    }
    case 'random':
      return new SampleSearch(world, uniform, strategy);
    case 'pct':
      return new SampleSearch(world, new Pct(strategy.changes, PCT_LENGTH), strategy);
    case 'replay':
      throw new ScenarioError('a replay is no search');
  }
}

/** About as long as runs of the scenarios here are. */
const PCT_LENGTH = 40;

async function searched(world: World, request: ExploreRequest, hooks: ExploreHooks): Promise<Exploration> {
  const { clock } = hooks;
  const { maxSteps = Number.POSITIVE_INFINITY } = request;
  const startUs = clock.monotonicUs();
  const elapsedMs = (): number => (clock.monotonicUs() - startUs) / 1000;
  const search = makeSearch(world, request, hooks.checkpoint);
  let outcome: SearchOutcome | undefined;
  while (outcome === undefined) {
    outcome = search.advance(Math.min(SLICE, maxSteps - search.figures.steps));
    if (outcome !== undefined) break;
    hooks.onProgress?.(search.figures);
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (hooks.isStopped?.() === true) outcome = { kind: 'stopped', figures: search.figures };
    else if (elapsedMs() > request.maxMs) outcome = { kind: 'bound', bound: 'ms', figures: search.figures };
    else if (search.figures.steps >= maxSteps) outcome = { kind: 'bound', bound: 'steps', figures: search.figures };
  }
  if (outcome.kind === 'violated') hooks.onFound?.(foundOf(world, outcome));
  return { ...report(world, outcome, search), elapsedMs: elapsedMs() };
}

function report(world: World, outcome: SearchOutcome, search: Search): Omit<Exploration, 'elapsedMs'> {
  const { figures } = outcome;
  switch (outcome.kind) {
    case 'holds':
      return { outcome: 'holds', isExhaustive: outcome.isExhaustive, figures };
    case 'violated':
      return { outcome: 'violated', isExhaustive: false, figures, ...counterexample(world, outcome) };
    default: {
      const bound = outcome.kind === 'bound' ? { bound: outcome.bound } : {};
      const canGoOn = search instanceof ExhaustiveSearch && bound.bound !== 'depth';
      const checkpoint = canGoOn ? { checkpoint: () => search.checkpoint() } : {};
      return { outcome: outcome.kind, isExhaustive: false, figures, ...bound, ...checkpoint };
    }
  }
}

const foundOf = (
  world: World,
  { violation, schedule, figures }: Extract<SearchOutcome, { kind: 'violated' }>,
): Found => ({
  violation,
  schedule: printSchedule(world.actors, schedule),
  figures,
});

/** States that are spent on looking for a still shorter schedule, breadth first. */
const SHORTEST_STATES_MAX = 200_000;

/** A schedule with the fewest steps, where the first violation that is met going outwards is of the same property. */
function findShortest(
  world: World,
  property: string,
  length: number,
): { readonly schedule: Schedule; readonly violation: Violation } | undefined {
  const search = new ExhaustiveSearch(world, { order: 'breadth', statesMax: SHORTEST_STATES_MAX });
  const found = search.advance(Number.POSITIVE_INFINITY);
  if (found?.kind !== 'violated' || found.violation.property !== property) return undefined;
  return found.schedule.length < length ? found : undefined;
}

function counterexample(
  world: World,
  found: { readonly schedule: Schedule; readonly violation: Violation },
): Pick<Exploration, 'violation' | 'schedule' | 'shrunk' | 'trace'> {
  const { property } = found.violation;
  const smaller = shrink(world, found.schedule, property) ?? found;
  const shrunk = findShortest(world, property, smaller.schedule.length) ?? smaller;
  return {
    violation: shrunk.violation,
    schedule: printSchedule(world.actors, found.schedule),
    shrunk: printSchedule(world.actors, shrunk.schedule),
    trace: traceOf(world, replay(world, shrunk.schedule)),
  };
}
