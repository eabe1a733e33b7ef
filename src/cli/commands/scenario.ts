/** `ktextd scenario run FILE`: several clients against a live service, and whether each was told what it should be. */
import { createClient } from '../../client/index.ts';
import { type CommonOptions, type Context, createContext, DEFAULT_SERVER } from '../context.ts';
import type { ExitCode, Io } from '../io.ts';
import { problemText } from '../output.ts';
import { runScenario, type StepReport } from '../scenario/run-scenario.ts';
import { readScenario, type Scenario } from '../scenario/scenario-file.ts';

export interface ScenarioFlags extends CommonOptions {
  readonly seed?: number;
}

/** A `together` of many is a line, not a page; what is wrong in it is always shown. */
const isShown = ({ step, unmet }: StepReport): boolean => !step.includes('.') || unmet.length > 0;

function line({ step, client, what, said, unmet }: StepReport): string {
  const mark = unmet.length === 0 ? 'ok' : 'NOT';
  const who = client === '' ? '' : `${client}: `;
  return `${mark.padEnd(3)} ${step.padStart(4)}  ${who}${what} — ${said}\n${unmet.map((each) => `          ${each}\n`).join('')}`;
}

/** Why this service cannot run it. */
async function misfit({ client }: Context, { needs }: Scenario): Promise<string | undefined> {
  const image = await client.image();
  if (!image.ok) return problemText(image.problem);
  const { kernel, strictness } = image.value;
  if (needs?.kernel !== undefined && needs.kernel !== kernel)
    return `it needs the rules of ${needs.kernel}, not of ${kernel}\n`;
  if (needs?.strictness !== undefined && needs.strictness !== strictness)
    return `it needs strictness ${needs.strictness}, not ${strictness}\n`;
  return undefined;
}

export async function scenarioRun(io: Io, file: string, flags: ScenarioFlags): Promise<ExitCode> {
  const scenario = readScenario(file);
  const reason = await misfit(createContext(io, flags), scenario);
  if (reason !== undefined) {
    io.err(`${file}: ${reason}`);
    return 1;
  }
  const token = io.env['KTEXTD_TOKEN'];
  const isJson = flags.json === true;
  if (!isJson) io.out(`${scenario.title}\n`);
  const reports = await runScenario(scenario, {
    make: (client, session) =>
      createClient({
        server: flags.server ?? io.env['KTEXTD_SERVER'] ?? DEFAULT_SERVER,
        client,
        ...(token === undefined || token === '' ? {} : { token }),
        ...(session === undefined ? {} : { session }),
      }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    onStep: (made) => {
      if (!isJson && isShown(made)) io.out(line(made));
    },
  });
  const isMet = reports.every(({ unmet }) => unmet.length === 0);
  if (isJson) io.out(`${JSON.stringify({ title: scenario.title, isMet, steps: reports })}\n`);
  else
    io.out(
      isMet ? 'as expected\n' : `not as expected${flags.seed === undefined ? '' : `; again: --seed ${flags.seed}`}\n`,
    );
  return isMet ? 0 : 1;
}
