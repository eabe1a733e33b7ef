export { FETCH_MODELS, type FetchModelName } from '../cpu/index.ts';
export {
  type Exploration,
  type ExploreHooks,
  type ExploreRequest,
  explore,
  type Found,
  type Strategy,
} from './explore.ts';
export { MUTANTS, type Mutant } from './mutants/index.ts';
export { ScenarioError } from './scenario/assemble.ts';
export { readScenario } from './scenario/read-scenario.ts';
export {
  actorsOf,
  BUILTINS,
  GRACE_PERIODS,
  LOCKS,
  PROPERTIES,
  type Property,
  type Scenario,
} from './scenario/scenario.ts';
export { parseSchedule, printSchedule, type Schedule } from './schedule/schedule.ts';
export { decodeCheckpoint, encodeCheckpoint } from './search/checkpoint-file.ts';
export { CheckpointError, type ExhaustiveCheckpoint, ExhaustiveSearch } from './search/exhaustive.ts';
export type { Search, SearchFigures, SearchOutcome } from './search/outcome.ts';
export { replay } from './search/replay.ts';
export { Pct, SampleSearch, uniform } from './search/sample.ts';
export { shrink } from './search/shrink.ts';
export type { Space, Step, Violation } from './search/space.ts';
export { type Divergence, runTwice } from './search/twice.ts';
export { type RunningExploration, startExploration } from './thread/exploration-thread.ts';
export type { ExplorationJob, ThreadEnd } from './thread/protocol.ts';
export { traceSvg } from './trace/svg.ts';
export type { Trace, TraceStep } from './trace/trace.ts';
export { type Mutation, UNCHANGED } from './world/mutation.ts';
export { World, type WorldOptions } from './world/world.ts';
