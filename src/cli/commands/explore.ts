/** `ktextd explore FILE`: explores a scenario in this process; no service is asked. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../base/index.ts';
import type { ExitCode, Io } from '../io.ts';
import { UsageError } from '../usage.ts';

type Explorer = typeof import('../../explore/index.ts');
type Exploration = Awaited<ReturnType<Explorer['explore']>>;
type Request = Parameters<Explorer['explore']>[0];
type Checkpoint = ReturnType<Explorer['decodeCheckpoint']>;

/** Loaded only here: other commands need none of it. */
const explorer = (): Promise<Explorer> => import('../../explore/index.ts');

/** Where a name that is no file is looked for. */
const EXAMPLES = 'examples/explorations';

export interface ExploreFlags {
  readonly mutant?: string;
  readonly fetch?: string;
  readonly strategy: 'exhaustive' | 'breadth' | 'random' | 'pct';
  readonly seed: number;
  readonly schedules: number;
  readonly changes: number;
  readonly replay?: string;
  readonly maxStates: number;
  readonly maxSeconds: number;
  readonly unreduced?: boolean;
  readonly trace?: string;
  readonly checkpoint?: string;
  readonly resume?: string;
  readonly json?: boolean;
}

/**
 * 1. Read the scenario; put in the mutant; go on from a checkpoint when there is one.
 * 2. Explore, and say how far it is once a second. Ctrl-C ends it at the next pause.
 * 3. Print what was found, step by step, and the line that replays it; write the trace.
 * 4. What was stopped or came to a bound leaves a checkpoint, and says how to go on from it.
 */
export async function explore(io: Io, name: string, flags: ExploreFlags): Promise<ExitCode> {
  const tools = await explorer();
  const file = existsSync(name) ? name : `${EXAMPLES}/${name}.json`;
  try {
    const request = requestOf(tools, scenarioOf(tools, file, flags), flags);
    const checkpoint = flags.resume === undefined ? undefined : readCheckpoint(tools, request, flags);
    const result = await run(tools, io, request, checkpoint);
    print(io, { name, request, result, flags });
    if (flags.trace !== undefined) writeTrace(tools, io, flags.trace, request, result);
    if (result.checkpoint !== undefined) leaveCheckpoint(tools, io, { name, request, result, flags });
    return codeOf(result);
  } catch (error) {
    if (error instanceof tools.ScenarioError || error instanceof tools.CheckpointError) {
      io.err(`ktextd: ${error.message}\n`);
      return 2;
    }
    throw error;
  }
}

function scenarioOf(tools: Explorer, file: string, { fetch }: ExploreFlags): Request['scenario'] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`cannot read a scenario: ${error instanceof Error ? error.message : error}`);
  }
  const scenario = tools.readScenario(content);
  if (fetch === undefined) return scenario;
  const model = tools.FETCH_MODELS.find((each) => each === fetch);
  if (model === undefined) throw new UsageError(`fetch models are ${tools.FETCH_MODELS.join(', ')}`);
  return { ...scenario, fetch: model };
}

function requestOf(tools: Explorer, scenario: Request['scenario'], flags: ExploreFlags): Request {
  const { mutant, maxSeconds, maxStates, unreduced } = flags;
  const known = mutant === undefined ? undefined : tools.MUTANTS.get(mutant);
  if (mutant !== undefined && known === undefined)
    throw new UsageError(`no known bug is called ${mutant}; there are ${[...tools.MUTANTS.keys()].join(' ')}`);
  return {
    scenario,
    strategy: strategyOf(flags),
    maxMs: maxSeconds * 1000,
    maxStates,
    ...(known === undefined ? {} : { mutation: known.mutation }),
    ...(unreduced === undefined ? {} : { isUnreduced: unreduced }),
  };
}

function strategyOf({ strategy, seed, schedules, changes, replay }: ExploreFlags): Request['strategy'] {
  if (replay !== undefined) return { kind: 'replay', schedule: replay };
  switch (strategy) {
    case 'exhaustive':
      return { kind: 'exhaustive' };
    case 'breadth':
      return { kind: 'exhaustive', order: 'breadth' };
    case 'random':
      return { kind: 'random', seed, schedules };
    case 'pct':
      return { kind: 'pct', seed, schedules, changes };
  }
}

/** What has to be the same for a checkpoint to be of use; budgets may differ. */
const askedOf = ({ scenario, strategy, isUnreduced = false }: Request, { mutant }: ExploreFlags): unknown => ({
  scenario,
  strategy,
  isUnreduced,
  mutant: mutant ?? null,
});

function readCheckpoint(tools: Explorer, request: Request, flags: ExploreFlags): Checkpoint {
  if (request.strategy.kind !== 'exhaustive')
    throw new UsageError('only an exhaustive search goes on from a checkpoint');
  let file: Uint8Array;
  try {
    file = readFileSync(flags.resume ?? '');
  } catch (error) {
    throw new UsageError(`cannot read a checkpoint: ${error instanceof Error ? error.message : error}`);
  }
  return tools.decodeCheckpoint(askedOf(request, flags), file);
}

const PROGRESS_EVERY_MS = 1000;

async function run(
  tools: Explorer,
  io: Io,
  request: Request,
  checkpoint: Checkpoint | undefined,
): Promise<Exploration> {
  let isStopped = false;
  const forget = io.onInterrupt?.(() => {
    isStopped = true;
  });
  const startUs = systemClock.monotonicUs();
  let nextMs = PROGRESS_EVERY_MS;
  try {
    return await tools.explore(request, {
      clock: systemClock,
      isStopped: () => isStopped,
      onFound: ({ violation }) => io.err(`found: ${violation.property}; making the schedule shorter\n`),
      onProgress: ({ states, steps, schedules }) => {
        const ms = (systemClock.monotonicUs() - startUs) / 1000;
        if (ms < nextMs) return;
        nextMs = ms + PROGRESS_EVERY_MS;
        io.err(`${Math.round(ms / 1000)} s: ${states} states, ${steps} steps, ${schedules} schedules\n`);
      },
      ...(checkpoint === undefined ? {} : { checkpoint }),
    });
  } finally {
    forget?.();
  }
}

interface Done {
  readonly name: string;
  readonly request: Request;
  readonly result: Exploration;
  readonly flags: ExploreFlags;
}

/** The same command again, with something instead of what this one was to do. */
const again = ({ name, flags: { mutant, fetch, strategy, unreduced } }: Done, what: string): string =>
  [
    `ktextd explore ${name}`,
    mutant === undefined ? '' : ` --mutant ${mutant}`,
    fetch === undefined ? '' : ` --fetch ${fetch}`,
    strategy === 'breadth' ? ' --strategy breadth' : '',
    unreduced === true ? ' --unreduced' : '',
    ` ${what}`,
  ].join('');

function print(io: Io, done: Done): void {
  const { result, request } = done;
  const { outcome, figures, elapsedMs, violation, trace, schedule = '', shrunk = schedule } = result;
  const replay = violation === undefined ? undefined : again(done, `--replay ${shrunk}`);
  if (done.flags.json === true) {
    const { checkpoint: _, ...plain } = result;
    io.out(
      `${JSON.stringify({ scenario: request.scenario.name, ...plain, ...(replay === undefined ? {} : { replay }) })}\n`,
    );
    return;
  }
  const scope = result.isExhaustive ? ', for every schedule' : '';
  const bound = result.bound === undefined ? '' : ` (${result.bound})`;
  const { states, steps, schedules } = figures;
  const seconds = (elapsedMs / 1000).toFixed(1);
  io.out(
    `${request.scenario.name}: ${outcome}${scope}${bound}; ${states} states, ${steps} steps, ${schedules} schedules, ${seconds} s\n`,
  );
  if (violation !== undefined) io.out(`${violation.property}: ${violation.detail}\n`);
  for (const { actor, what } of trace?.steps ?? []) io.out(`  ${actor} ${what}\n`);
  if (replay !== undefined) io.out(`replay: ${replay}\n`);
}

/** A picture, or with a name that ends in .json the trace itself. */
function writeTrace(tools: Explorer, io: Io, path: string, { scenario }: Request, { trace }: Exploration): void {
  if (trace === undefined) {
    io.err(`no trace: nothing was violated, and no schedule replayed\n`);
    return;
  }
  writeFileSync(path, path.endsWith('.json') ? `${JSON.stringify(trace)}\n` : tools.traceSvg(trace, scenario.name));
}

function leaveCheckpoint(tools: Explorer, io: Io, done: Done): void {
  const { request, result, flags } = done;
  const checkpoint = result.checkpoint?.();
  if (checkpoint === undefined) return;
  const path = flags.checkpoint ?? flags.resume ?? `${request.scenario.name}.checkpoint`;
  writeFileSync(path, tools.encodeCheckpoint(askedOf(request, flags), checkpoint));
  io.err(`go on with: ${again(done, `--resume ${path}`)}\n`);
}

function codeOf({ outcome }: Exploration): ExitCode {
  if (outcome === 'holds') return 0;
  return outcome === 'violated' ? 1 : outcome === 'refused' ? 2 : 4;
}
