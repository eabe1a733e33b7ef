import { seededPrng } from '../../base/index.ts';
import type { Schedule } from '../schedule/schedule.ts';
import type { Space, Step } from './space.ts';

/** Where two runs of one schedule parted. */
export interface Divergence {
  readonly schedule: Schedule;
  readonly what: string;
}

/**
 * The check that keeps everything else honest: runs schedules by chance, each twice, once in a space that has run all those before it and once in a
 * new one, and compares what can be done, what it is called and what comes of it. Whatever is not decided by the schedule shows here: a
 * clock, an order of iteration, something remembered under too short a key.
 */
export function runTwice(
  makeSpace: () => Space,
  options: { readonly seed: number; readonly schedules: number; readonly stepsMax: number },
): Divergence | undefined {
  const old = makeSpace();
  for (let n = 0; n < options.schedules; n++) {
    const divergence = runBoth(old, makeSpace(), options.seed + n, options.stepsMax);
    if (divergence !== undefined) return divergence;
  }
  return undefined;
}

function runBoth(a: Space, b: Space, seed: number, stepsMax: number): Divergence | undefined {
  const random = seededPrng(seed);
  const schedule: Step[] = [];
  const [stateA, stateB] = [new Int32Array(a.width), new Int32Array(b.width)];
  a.initial(stateA);
  b.initial(stateB);
  const seen = (space: Space, state: Int32Array, enabled: Step[]): string => {
    space.steps(state, enabled);
    const ends = enabled.length === 0 ? `ends with ${space.end(state) === 0 ? 'nothing' : 'a violation'}` : '';
    return `${space.render(state)} | ${enabled.map((step) => `${step} ${space.describe(state, step)}`).join('; ')}${ends}`;
  };
  while (schedule.length < stepsMax) {
    const enabled: Step[] = [];
    const [here, there] = [seen(a, stateA, enabled), seen(b, stateB, [])];
    if (here !== there) return { schedule, what: `${here}\nand\n${there}` };
    const step = enabled[random.below(enabled.length)];
    if (step === undefined) return undefined;
    const [violationA, violationB] = [advance(a, stateA, step), advance(b, stateB, step)];
    schedule.push(step);
    if (violationA !== violationB)
      return { schedule, what: `${violationA || 'nothing'} and ${violationB || 'nothing'}` };
    if (violationA !== '') return undefined;
  }
  return undefined;
}

function advance(space: Space, state: Int32Array, step: Step): string {
  const after = new Int32Array(space.width);
  const violation = space.apply(state, step, after);
  state.set(after);
  return violation === 0 ? '' : JSON.stringify(space.violation(violation));
}
