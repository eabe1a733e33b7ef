import type { Schedule } from '../schedule/schedule.ts';
import type { Space, Step, Violation } from './space.ts';

export interface ReplayedStep {
  readonly step: Step;
  readonly what: string;
  /** The state after it. */
  readonly state: Int32Array;
}

export interface Replay {
  readonly steps: readonly ReplayedStep[];
  /** What did not hold, in the last step or at the end of the run. */
  readonly violation?: Violation;
  /** The run is over: nobody has a step left. */
  readonly isEnd: boolean;
  /** Index of the first step that nobody could take; then the replay stops there. */
  readonly refusedAt?: number;
}

/** Runs a schedule as it is written. */
export function replay(space: Space, schedule: Schedule): Replay {
  const steps: ReplayedStep[] = [];
  const enabled: Step[] = [];
  let now = new Int32Array(space.width);
  space.initial(now);
  for (const [index, step] of schedule.entries()) {
    space.steps(now, enabled);
    if (!enabled.includes(step)) return { steps, isEnd: false, refusedAt: index };
    const what = space.describe(now, step);
    const after = new Int32Array(space.width);
    const violation = space.apply(now, step, after);
    steps.push({ step, what, state: after });
    if (violation !== 0) return { steps, violation: space.violation(violation), isEnd: false };
    now = after;
  }
  space.steps(now, enabled);
  if (enabled.length > 0) return { steps, isEnd: false };
  const violation = space.end(now);
  return { steps, isEnd: true, ...(violation === 0 ? {} : { violation: space.violation(violation) }) };
}
