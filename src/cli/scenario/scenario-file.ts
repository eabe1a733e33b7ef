/** Scenarios of several clients, as files: who does what in which order, or at the same time, and what each is to be told. */
import { readFileSync } from 'node:fs';
import { type Static, Type } from 'typebox';
import Schema from 'typebox/schema';
import { UsageError } from '../usage.ts';

const closed = { additionalProperties: false } as const;
const Name = Type.String({ minLength: 1, maxLength: 64 });
const Count = Type.Union([Type.Integer({ minimum: 0 }), Type.Tuple([Type.Integer(), Type.Integer()])]);
/** Bodies of the API; the service says what is wrong with them. */
const Body = Type.Record(Type.String(), Type.Unknown());

const Expect = Type.Object(
  {
    /** What became of it; without `expect` it must be granted. */
    outcome: Type.Optional(Type.Enum(['granted', 'refused', 'either'])),
    verdict: Type.Optional(Type.Enum(['attached', 'chained', 'shared'])),
    errno: Type.Optional(Type.String()),
    rule: Type.Optional(Type.String()),
    /** Clients that the refusal names. */
    holders: Type.Optional(Type.Array(Name)),
    /** attach, plan: whether there are warnings. */
    warned: Type.Optional(Type.Boolean()),
    /** call: names of the attachments that fire, in order. site: its owners, in order. */
    fired: Type.Optional(Type.Array(Name)),
    owners: Type.Optional(Type.Array(Name)),
    returnValue: Type.Optional(Type.String()),
    /** site: whether the bytes are those of the booted kernel. */
    pristine: Type.Optional(Type.Boolean()),
    /** together: how many attaches in it were granted and refused; [least, most]. */
    granted: Type.Optional(Count),
    refused: Type.Optional(Count),
  },
  closed,
);

const ACTIONS = {
  attach: Type.Optional(Body),
  detach: Type.Optional(Name),
  disable: Type.Optional(Name),
  enable: Type.Optional(Name),
  plan: Type.Optional(Type.Object({ steps: Type.Array(Body) })),
  call: Type.Optional(Body),
  site: Type.Optional(Type.String()),
  openSession: Type.Optional(Type.Object({ ttlMs: Type.Integer({ minimum: 1 }) }, closed)),
  heartbeat: Type.Optional(Type.Literal(true)),
  endSession: Type.Optional(Type.Literal(true)),
  /** The client is gone: no heartbeat any more, and the scenario goes on when its lease has run out. */
  vanish: Type.Optional(Type.Literal(true)),
  reset: Type.Optional(Type.Literal(true)),
};

const SimpleStep = Type.Object(
  {
    client: Type.Optional(Name),
    as: Type.Optional(Name),
    note: Type.Optional(Type.String()),
    expect: Type.Optional(Expect),
    ...ACTIONS,
  },
  closed,
);

const Lane = Type.Object(
  {
    client: Name,
    /** So many clients CLIENT-1, CLIENT-2 …, each with names of its own for what it attaches. */
    copies: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    /** Each copy goes through the steps so often. */
    times: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    steps: Type.Array(SimpleStep, { minItems: 1 }),
  },
  closed,
);

const Step = Type.Object(
  { ...SimpleStep.properties, together: Type.Optional(Type.Array(Lane, { minItems: 1 })) },
  closed,
);

const ScenarioFile = Type.Object(
  {
    title: Type.String({ minLength: 1 }),
    about: Type.Optional(Type.String()),
    /** What the service must run; elsewhere the scenario says so and is not run. */
    needs: Type.Optional(
      Type.Object(
        { kernel: Type.Optional(Type.String()), strictness: Type.Optional(Type.Enum(['safe', 'linux'])) },
        closed,
      ),
    ),
    steps: Type.Array(Step, { minItems: 1 }),
  },
  closed,
);

export type Expectation = Static<typeof Expect>;
export type ActionStep = Static<typeof SimpleStep>;
export type ScenarioLane = Static<typeof Lane>;
export type ScenarioStep = Static<typeof Step>;
export type Scenario = Static<typeof ScenarioFile>;

export const ACTION_NAMES = Object.keys(ACTIONS) as readonly (keyof typeof ACTIONS)[];

/** The one action of a step. */
export const actionOf = (step: ActionStep): keyof typeof ACTIONS | undefined =>
  ACTION_NAMES.find((name) => step[name] !== undefined);

function* allSteps(scenario: Scenario): Generator<readonly [string, ScenarioStep, string | undefined]> {
  for (const [i, step] of scenario.steps.entries()) {
    yield [`steps[${i}]`, step, undefined];
    for (const [j, lane] of (step.together ?? []).entries())
      for (const [k, inner] of lane.steps.entries())
        yield [`steps[${i}].together[${j}].steps[${k}]`, inner, lane.client];
  }
}

/** What the schema cannot say: one action a step, and somebody who does it. */
function checkStep(place: string, step: ScenarioStep, laneClient: string | undefined): void {
  const actions = [...ACTION_NAMES, 'together' as const].filter((name) => step[name] !== undefined);
  if (actions.length !== 1)
    throw new UsageError(
      `${place}: one of ${[...ACTION_NAMES, 'together'].join(', ')}; it has ${actions.join(' and ') || 'none'}`,
    );
  if (laneClient !== undefined && step.client !== undefined)
    throw new UsageError(`${place}: its client is that of the lane, ${laneClient}`);
  if (laneClient === undefined && step.client === undefined && step.together === undefined)
    throw new UsageError(`${place}: "client" is missing`);
  if (step.as !== undefined && step.attach === undefined) throw new UsageError(`${place}: "as" names what is attached`);
}

/** Throws {@link UsageError} with the place. */
export function parseScenario(path: string, text: string): Scenario {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: this is not JSON: ${(error as Error).message}`);
  }
  if (!Schema.Check(ScenarioFile, value)) {
    const [, errors] = Schema.Errors(ScenarioFile, value);
    const [first] = errors;
    const what = first?.keyword === 'boolean' ? 'is no field of a scenario' : (first?.message ?? 'is not a scenario');
    throw new UsageError(`${path}: ${first?.instancePath || '/'} ${what}`);
  }
  const scenario = value as Scenario;
  for (const [place, step, laneClient] of allSteps(scenario)) checkStep(`${path}: ${place}`, step, laneClient);
  return scenario;
}

export function readScenario(path: string): Scenario {
  try {
    return parseScenario(path, readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
