/**
 * Runs a scenario against a live service.
 *
 *  1. Steps run one after another. The lanes of a `together` run at the same time, each over connections of its own; with a seed their steps go
 *     out one at a time instead, in an order that follows from it: the same seed, the same run.
 *  2. What happened is compared with what the step expects. A `together` goes to its end; any other step that is not as expected ends the run.
 *  3. What is still attached is detached, each by its client, and the audit must find no byte without an owner.
 */
import { Cast, type MakeClient } from './cast.ts';
import { unmet, unmetCounts } from './expect.ts';
import { type Actor, type Happened, perform } from './perform.ts';
import type { ActionStep, Scenario, ScenarioLane, ScenarioStep } from './scenario-file.ts';
import { actionOf } from './scenario-file.ts';

export interface StepReport {
  /** `3`, and `3.2` for the second client of a `together`. */
  readonly step: string;
  readonly client: string;
  readonly what: string;
  readonly said: string;
  readonly unmet: readonly string[];
}

export interface ScenarioOptions {
  readonly make: MakeClient;
  readonly seed?: number;
  readonly onStep?: (report: StepReport) => void;
}

interface Run {
  readonly cast: Cast;
  readonly clients: Set<string>;
  readonly options: ScenarioOptions;
  readonly random: () => number;
  readonly reports: StepReport[];
}

/** A linear congruential generator (Numerical Recipes' constants): an order only has to be the same again. */
function seededOrder(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

const short = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return value === true ? '' : String(value);
  const { kind, target, function: name, steps } = value as Readonly<Record<string, unknown>>;
  if (kind !== undefined) return `${String(kind)}:${typeof target === 'string' ? target : JSON.stringify(target)}`;
  return name !== undefined ? String(name) : steps === undefined ? JSON.stringify(value) : '';
};

function describe(step: ActionStep): string {
  const action = actionOf(step);
  return action === undefined ? '' : `${action} ${short(step[action])}`.trim();
}

function report(run: Run, made: StepReport): void {
  run.reports.push(made);
  run.options.onStep?.(made);
}

async function act(run: Run, number: string, actor: Actor, step: ActionStep): Promise<Happened> {
  run.clients.add(actor.client);
  const happened = await perform(actor, step);
  report(run, {
    step: number,
    client: actor.client,
    what: describe(step),
    said: happened.said,
    unmet: unmet(step, happened),
  });
  return happened;
}

interface Runner {
  readonly actor: Actor;
  readonly steps: readonly ActionStep[];
}

function runnersOf(run: Run, lanes: readonly ScenarioLane[]): readonly Runner[] {
  return lanes.flatMap((lane) =>
    Array.from({ length: lane.copies ?? 1 }, (_, copy) => {
      const client = lane.copies === undefined ? lane.client : `${lane.client}-${copy + 1}`;
      const steps = Array.from({ length: lane.times ?? 1 }, () => lane.steps).flat();
      return { actor: { cast: run.cast, client, scope: lane.copies === undefined ? '' : `${client}/` }, steps };
    }),
  );
}

/** Runs all of them, and counts the attaches among their steps. */
async function together(run: Run, number: string, lanes: readonly ScenarioLane[]) {
  const count = { granted: 0, refused: 0 };
  const runners = runnersOf(run, lanes).map((runner, index) => ({
    ...runner,
    number: `${number}.${index + 1}`,
    at: 0,
  }));
  const next = async (runner: (typeof runners)[number]): Promise<void> => {
    const step = runner.steps[runner.at++];
    if (step === undefined) return;
    const { outcome } = await act(run, runner.number, runner.actor, step);
    if (step.attach !== undefined && outcome !== 'skipped') count[outcome] += 1;
  };
  const goOn = (runner: (typeof runners)[number]): boolean => runner.at < runner.steps.length;
  if (run.options.seed === undefined)
    await Promise.all(
      runners.map(async (runner) => {
        while (goOn(runner)) await next(runner);
      }),
    );
  else
    for (let left = runners.filter(goOn); left.length > 0; left = left.filter(goOn)) {
      const chosen = left[Math.floor(run.random() * left.length)];
      if (chosen !== undefined) await next(chosen);
    }
  return count;
}

async function runStep(run: Run, number: string, step: ScenarioStep): Promise<void> {
  if (step.together === undefined) {
    await act(run, number, { cast: run.cast, client: step.client ?? '', scope: '' }, step);
    return;
  }
  const { granted, refused } = await together(run, number, step.together);
  const said = `${granted} granted, ${refused} refused`;
  report(run, { step: number, client: '', what: 'together', said, unmet: unmetCounts(step.expect, granted, refused) });
}

/** Detaches what the scenario's clients still have, newest first, and looks whether all bytes have an owner. */
async function cleanUp(run: Run): Promise<void> {
  for (const client of run.clients) {
    const api = run.cast.client(client);
    const mine = await api.attachments({ client, limit: 1000 });
    if (!mine.ok) continue;
    for (const { id } of [...mine.value.items].reverse()) await api.detach(id);
  }
  const audit = await run.cast.client('scenario').audit();
  const orphans = audit.ok ? audit.value.orphans.length : 0;
  report(run, {
    step: 'end',
    client: '',
    what: 'audit',
    said: audit.ok ? `${orphans} bytes without an owner` : audit.problem.rule,
    unmet: audit.ok && orphans === 0 ? [] : ['every byte should be accounted for'],
  });
}

/** All steps that ran, and what was not as expected. Rejects when the service cannot be reached. */
export async function runScenario(scenario: Scenario, options: ScenarioOptions): Promise<readonly StepReport[]> {
  const run: Run = {
    cast: new Cast(options.make),
    clients: new Set(),
    options,
    random: seededOrder(options.seed ?? 0),
    reports: [],
  };
  for (const [index, step] of scenario.steps.entries()) {
    await runStep(run, String(index + 1), step);
    if (run.reports.some((each) => each.unmet.length > 0)) break;
  }
  await cleanUp(run);
  return run.reports;
}
