import { MUTANTS } from '../../coordinator/index.ts';
import { nullable, optionalPageQuery, pageOf, strict, Timestamp, words } from './common.ts';
import { ScenarioBody } from './scenario.ts';
import { Type } from './type.ts';

const SCHEDULE_MAX = 100_000;
const SCHEDULES_MAX = 100_000_000;
const U32_MAX = 2 ** 32 - 1;

/** Which field belongs to which kind: the route says so in words that a person can use. */
export const StrategyBody = Type.Object(
  {
    kind: words(['exhaustive', 'random', 'pct', 'replay']),
    order: Type.Optional(words(['depth', 'breadth'], 'exhaustive: breadth first finds a shortest schedule')),
    depthMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: U32_MAX,
        description: 'exhaustive, breadth first: steps of the longest schedule',
      }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: U32_MAX, description: 'random, pct; absent: 1' })),
    schedules: Type.Optional(
      Type.Integer({ minimum: 1, maximum: SCHEDULES_MAX, description: 'random, pct: how many; absent: 100000' }),
    ),
    changes: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100, description: 'pct: places where priorities change; absent: 3' }),
    ),
    schedule: Type.Optional(Type.String({ maxLength: SCHEDULE_MAX, description: 'replay: `A-A-0-1.2-0i-1q`' })),
  },
  { ...strict, title: 'ExplorationStrategy', description: 'Absent: exhaustive, depth first' },
);

export const ExplorationBody = Type.Object(
  {
    scenario: ScenarioBody,
    mutant: Type.Optional(words([...MUTANTS.keys()], 'A known bug to put in')),
    strategy: Type.Optional(StrategyBody),
    maxMs: Type.Optional(Type.Integer({ minimum: 1, description: 'Absent: one minute; at most half an hour' })),
    maxStates: Type.Optional(Type.Integer({ minimum: 1, description: 'Absent: two million; at most ten million' })),
    maxSteps: Type.Optional(Type.Integer({ minimum: 1, description: 'Absent: without end' })),
  },
  { ...strict, title: 'ExplorationRequest' },
);

export const ExplorationsQuery = Type.Object({ ...optionalPageQuery }, strict);

const Count = Type.Integer({ minimum: 0 });

const ExplorationResult = Type.Object(
  {
    outcome: words(
      ['holds', 'violated', 'bound', 'refused', 'failed'],
      'bound: nothing was found up to it, and nothing is claimed beyond; refused: not a schedule of this scenario; failed: see detail',
    ),
    exhaustive: Type.Boolean({ description: '`holds` speaks for every schedule' }),
    bound: nullable(words(['states', 'ms', 'steps', 'depth', 'memory'])),
    detail: nullable(Type.String()),
    counterexample: nullable(
      Type.Object(
        {
          property: Type.String(),
          detail: Type.String(),
          schedule: Type.String({ description: 'As short as it could be made' }),
          steps: Count,
          found: Type.String({ description: 'As it was found' }),
          replay: Type.String({ description: 'A command line that shows it again' }),
        },
        { title: 'Counterexample' },
      ),
    ),
  },
  { title: 'ExplorationResult' },
);

const SUMMARY = {
  id: Type.String(),
  scenario: Type.String(),
  client: Type.String(),
  since: Timestamp,
  state: words(['running', 'done', 'deleted']),
  mutant: nullable(Type.String()),
  strategy: StrategyBody,
  budget: Type.Object(
    { maxMs: Count, maxStates: Count, maxSteps: nullable(Count) },
    { title: 'ExplorationBudget', description: 'What was asked for, within what the service allows' },
  ),
  progress: Type.Object(
    {
      states: { ...Count, description: 'Different states seen; 0 for strategies that keep none' },
      steps: Count,
      schedules: { ...Count, description: 'Runs that came to an end, or to a state that was known' },
      depthMax: Count,
      elapsedMs: Count,
    },
    { title: 'ExplorationProgress' },
  ),
  result: nullable(ExplorationResult),
} as const;

const TraceStep = Type.Object(
  {
    actor: Type.String(),
    kind: words(['run', 'ipi', 'irq', 'nmi']),
    what: Type.String(),
    cpus: Type.Array(
      Type.Object(
        {
          at: Type.String({ description: '`f+0x5`, `int3 handler`, `idle`, `off`' }),
          isPending: Type.Boolean({ description: 'A sync waits for it' }),
          isStale: Type.Boolean({ description: 'May fetch something that is no longer there' }),
        },
        { title: 'TraceCpu' },
      ),
    ),
    bytes: Type.Array(
      Type.Object(
        {
          now: Type.String({ description: 'Hex' }),
          stale: Type.Array(Type.Array(Type.String()), {
            description: 'For each CPU, by position, what else it may still fetch there; hex',
          }),
        },
        { title: 'TraceBytes' },
      ),
    ),
  },
  { title: 'TraceStep' },
);

export const Trace = Type.Object(
  {
    patchers: Type.Array(Type.String()),
    cpus: Type.Array(Type.String()),
    places: Type.Array(
      Type.Object({ name: Type.String(), address: Type.String(), length: Count }, { title: 'TracePlace' }),
    ),
    steps: Type.Array(TraceStep),
    violation: Type.Optional(
      Type.Object({ property: Type.String(), detail: Type.String() }, { title: 'TraceViolation' }),
    ),
  },
  { title: 'ExplorationTrace' },
);

export const ExplorationSummary = Type.Object(SUMMARY, { title: 'ExplorationSummary' });
export const ExplorationView = Type.Object({ ...SUMMARY, trace: nullable(Trace) }, { title: 'ExplorationView' });
export const ExplorationPage = pageOf('ExplorationPage', ExplorationSummary);
