import type { Schedule } from '../schedule/schedule.ts';
import type { Space, Step, Violation } from './space.ts';

export interface Shrunk {
  readonly schedule: Schedule;
  readonly violation: Violation;
  /** Runs that were tried. */
  readonly tries: number;
}

/**
 * Delta debugging over steps: leaves out ever smaller pieces of a schedule as long as the same property still fails. Steps are remembered by what they
 * do, not by number: when an earlier one is left out, others may offer their alternatives under other numbers, or not be possible any more, and
 * then they are passed over. The result cannot lose any single step.
 */
export function shrink(space: Space, schedule: Schedule, property: string): Shrunk | undefined {
  let tries = 0;
  const attempt = (wanted: readonly Wanted[]): Attempt | undefined => {
    tries++;
    const run = follow(space, wanted);
    return run?.violation.property === property ? run : undefined;
  };
  let best = attempt(remember(space, schedule));
  if (best === undefined) return undefined;
  for (let size = Math.ceil(best.wanted.length / 2); size >= 1; ) {
    let isShorter = false;
    for (let at = 0; at < best.wanted.length; ) {
      const without: readonly Wanted[] = [...best.wanted.slice(0, at), ...best.wanted.slice(at + size)];
      const next = attempt(without);
      if (next === undefined || next.schedule.length >= best.schedule.length) at += size;
      else {
        best = next;
        isShorter = true;
      }
    }
    if (size === 1 && !isShorter) break;
    if (!isShorter || size > 1) size = Math.max(1, Math.floor(size / 2));
  }
  return { schedule: best.schedule, violation: best.violation, tries };
}

interface Wanted {
  readonly step: Step;
  readonly what: string;
}

interface Attempt {
  readonly wanted: readonly Wanted[];
  readonly schedule: Schedule;
  readonly violation: Violation;
}

function remember(space: Space, schedule: Schedule): readonly Wanted[] {
  let now = new Int32Array(space.width);
  space.initial(now);
  return schedule.map((step) => {
    const what = space.describe(now, step);
    const after = new Int32Array(space.width);
    space.apply(now, step, after);
    now = after;
    return { step, what };
  });
}

/** Takes the wanted steps that can be taken; undefined when nothing is violated. */
function follow(space: Space, wanted: readonly Wanted[]): Attempt | undefined {
  const taken: Wanted[] = [];
  const enabled: Step[] = [];
  let now = new Int32Array(space.width);
  let after = new Int32Array(space.width);
  space.initial(now);
  const done = (violation: number): Attempt | undefined =>
    violation === 0
      ? undefined
      : { wanted: taken, schedule: taken.map(({ step }) => step), violation: space.violation(violation) };
  for (const each of wanted) {
    space.steps(now, enabled);
    const same = (step: Step): boolean => space.describe(now, step) === each.what;
    const step = enabled.includes(each.step) && same(each.step) ? each.step : enabled.find(same);
    if (step === undefined) continue;
    taken.push({ step, what: each.what });
    const violation = space.apply(now, step, after);
    if (violation !== 0) return done(violation);
    [now, after] = [after, now];
  }
  space.steps(now, enabled);
  return enabled.length === 0 ? done(space.end(now)) : undefined;
}
