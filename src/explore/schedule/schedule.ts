import { actorOf, alternativeOf, kindOf, makeStep, type Space, STEP_KINDS, type Step } from '../search/space.ts';

/** A schedule is data: the steps of one run, in order. */
export type Schedule = readonly Step[];

/** One letter for what comes from outside; a plain step has none. */
const LETTERS = ['', 'i', 'q', 'n'] as const;

const printStep = (actors: readonly string[], step: Step): string => {
  const alternative = alternativeOf(step);
  const name = actors[actorOf(step)] ?? '?';
  return `${name}${LETTERS[kindOf(step)] ?? ''}${alternative === 0 ? '' : `.${alternative}`}`;
};

/**
 * `A-A-0-1.2-0i-1q`: actors in turn (patchers are capitals, CPUs numbers), `i`, `q` and `n` for an IPI, an interrupt and an NMI taken, and
 * behind a point which of the alternatives chance took, 0 (fetched what stands there now) being left out.
 */
export const printSchedule = (actors: readonly string[], schedule: Schedule): string =>
  schedule.map((step) => printStep(actors, step)).join('-');

/** Reads it again; undefined when a word is none, or names an actor that there is not. */
export function parseSchedule(actors: readonly string[], text: string): Schedule | undefined {
  if (text === '') return [];
  const steps: Step[] = [];
  for (const word of text.split('-')) {
    const parts = /^([A-Z]|\d{1,2})([iqn]?)(?:\.(\d{1,5}))?$/.exec(word);
    const actor = actors.indexOf(parts?.[1] ?? '');
    if (parts === null || actor < 0) return undefined;
    const kind = LETTERS.indexOf((parts[2] ?? '') as (typeof LETTERS)[number]);
    steps.push(makeStep(actor, kind, Number(parts[3] ?? 0)));
  }
  return steps;
}

/** A step in words, for traces: `0 ipi: serialises`. */
export const nameStep = (space: Space, step: Step): string =>
  `${space.actors[actorOf(step)] ?? '?'} ${STEP_KINDS[kindOf(step)] ?? ''}`;
