/** Compares what happened with what a step expects. */
import type { Happened } from './perform.ts';
import type { ActionStep, Expectation } from './scenario-file.ts';
import { actionOf } from './scenario-file.ts';

type Count = NonNullable<Expectation['granted']>;

const words = (list: readonly string[] | undefined): string =>
  list === undefined || list.length === 0 ? 'nobody' : list.join(', ');

function differs(what: string, wanted: unknown, found: unknown): string | undefined {
  if (wanted === undefined || JSON.stringify(wanted) === JSON.stringify(found ?? null)) return undefined;
  const text = (value: unknown): string => (Array.isArray(value) ? words(value as readonly string[]) : String(value));
  return `${what} should be ${text(wanted)}, is ${text(found)}`;
}

function outcomeWanted(expect: Expectation): 'granted' | 'refused' | 'either' {
  if (expect.outcome !== undefined) return expect.outcome;
  return expect.errno !== undefined || expect.rule !== undefined || expect.holders !== undefined
    ? 'refused'
    : 'granted';
}

/** Everything that is not as expected; empty when all is. */
export function unmet(step: ActionStep, happened: Happened): readonly string[] {
  const expect = step.expect ?? {};
  const { problem } = happened;
  const wanted = outcomeWanted(expect);
  // Nothing was there to detach: in `together` that is how it goes when the attach was refused.
  const isIdle = happened.outcome === 'skipped' && actionOf(step) === 'detach' && wanted === 'either';
  const outcome =
    wanted === happened.outcome || isIdle || (wanted === 'either' && happened.outcome !== 'skipped')
      ? undefined
      : `it should be ${wanted}: ${happened.said}${problem === undefined ? '' : `\n${problem.detail}`}`;
  if (outcome !== undefined) return [outcome];
  const refusal = problem === undefined && wanted === 'either' ? {} : expect;
  return [
    differs('verdict', happened.outcome === 'refused' ? undefined : expect.verdict, happened.verdict),
    differs('errno', refusal.errno, problem?.errno),
    differs('rule', refusal.rule, problem?.rule),
    differs(
      'holders',
      refusal.holders,
      problem?.holders.map((holder) => holder.client),
    ),
    differs('whether it is warned of', expect.warned, happened.warned),
    differs('who fired', expect.fired, happened.fired),
    differs('owners', expect.owners, happened.owners),
    differs('the return value', expect.returnValue, happened.returnValue),
    differs('whether the bytes are as booted', expect.pristine, happened.pristine),
  ].filter((each) => each !== undefined);
}

const inRange = (count: Count | undefined, found: number): boolean =>
  count === undefined ||
  (Array.isArray(count) ? found >= (count[0] ?? 0) && found <= (count[1] ?? 0) : found === count);

/** The same for the attaches of a `together`. */
export function unmetCounts(expect: Expectation | undefined, granted: number, refused: number): readonly string[] {
  const found: string[] = [];
  if (!inRange(expect?.granted, granted))
    found.push(`${JSON.stringify(expect?.granted)} should be granted, ${granted} were`);
  if (!inRange(expect?.refused, refused))
    found.push(`${JSON.stringify(expect?.refused)} should be refused, ${refused} were`);
  return found;
}
