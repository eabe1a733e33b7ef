import { type Prng, seededPrng } from '../../base/index.ts';
import type { Search, SearchFigures, SearchOutcome } from './outcome.ts';
import { ACTORS_MAX, actorOf, type Space, type Step } from './space.ts';

export interface SampleOptions {
  readonly seed: number;
  /** Schedules to run. */
  readonly schedules: number;
  /** Longest run; one that is longer is cut, and counts. */
  readonly stepsMax?: number;
}

export const SAMPLE_STEPS_MAX = 10_000;

/** Chooses among the steps that can be taken; told when a new run begins. */
export interface Chooser {
  begin(random: Prng): void;
  choose(enabled: readonly Step[], random: Prng): Step;
}

/** Runs from the start, again and again; what a strategy is, is its chooser. Every run has its own seed, so that one can be run alone. */
export class SampleSearch implements Search {
  readonly #space: Space;
  readonly #options: SampleOptions;
  readonly #chooser: Chooser;
  #states: readonly [Int32Array, Int32Array];
  readonly #enabled: Step[] = [];
  #steps = 0;
  #schedules = 0;
  #depthMax = 0;

  constructor(space: Space, chooser: Chooser, options: SampleOptions) {
    this.#space = space;
    this.#options = options;
    this.#chooser = chooser;
    this.#states = [new Int32Array(space.width), new Int32Array(space.width)];
  }

  get figures(): SearchFigures {
    return { states: 0, steps: this.#steps, schedules: this.#schedules, depthMax: this.#depthMax };
  }

  advance(steps: number): SearchOutcome | undefined {
    const until = this.#steps + steps;
    while (this.#steps < until) {
      if (this.#schedules >= this.#options.schedules)
        return { kind: 'holds', isExhaustive: false, figures: this.figures };
      const found = this.#runOne();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #runOne(): SearchOutcome | undefined {
    const space = this.#space;
    const random = seededPrng(this.#options.seed + this.#schedules);
    const stepsMax = this.#options.stepsMax ?? SAMPLE_STEPS_MAX;
    const schedule: Step[] = [];
    let [now, after] = this.#states;
    space.initial(now);
    this.#chooser.begin(random);
    for (; schedule.length < stepsMax; [now, after] = [after, now]) {
      space.steps(now, this.#enabled);
      if (this.#enabled.length === 0) {
        const violation = space.end(now);
        if (violation !== 0) return this.#violated(violation, schedule);
        break;
      }
      const step = this.#chooser.choose(this.#enabled, random);
      schedule.push(step);
      this.#steps++;
      const violation = space.apply(now, step, after);
      if (violation !== 0) return this.#violated(violation, schedule);
    }
    this.#schedules++;
    this.#depthMax = Math.max(this.#depthMax, schedule.length);
    return undefined;
  }

  #violated(violation: number, schedule: readonly Step[]): SearchOutcome {
    return { kind: 'violated', violation: this.#space.violation(violation), schedule, figures: this.figures };
  }
}

/** Every step that can be taken is as likely as any other. */
export const uniform: Chooser = {
  begin: () => {},
  choose: (enabled, random) => enabled[random.below(enabled.length)] ?? 0,
};

/**
 * PCT (Burckhardt et al., ASPLOS 2010): actors get priorities by chance, the highest one that can go on does, and at `changes` places of the run, by
 * chance too, whoever runs becomes the last. A fault that needs n orders to go one way is found with a probability that has a lower bound. Among the
 * alternatives of one actor chance decides.
 *
 * @param lengthGuess where change points are put: as long as runs are
 */
export class Pct implements Chooser {
  readonly #changes: number;
  readonly #lengthGuess: number;
  readonly #priorities = new Float64Array(ACTORS_MAX);
  #changeAt: readonly number[] = [];
  #step = 0;

  constructor(changes: number, lengthGuess: number) {
    this.#changes = changes;
    this.#lengthGuess = lengthGuess;
  }

  begin(random: Prng): void {
    for (let actor = 0; actor < ACTORS_MAX; actor++) this.#priorities[actor] = 1 + random.u32();
    this.#changeAt = Array.from({ length: this.#changes }, () => random.below(this.#lengthGuess));
    this.#step = 0;
  }

  choose(enabled: readonly Step[], random: Prng): Step {
    const priority = (step: Step): number => this.#priorities[actorOf(step)] ?? 0;
    const highest = enabled.reduce((best, step) => (priority(step) > priority(best) ? step : best));
    const mine = enabled.filter((step) => actorOf(step) === actorOf(highest));
    // Below every initial priority, and below those that were lowered before.
    if (this.#changeAt.includes(this.#step)) this.#priorities[actorOf(highest)] = -this.#step;
    this.#step++;
    return mine[random.below(mine.length)] ?? highest;
  }
}
