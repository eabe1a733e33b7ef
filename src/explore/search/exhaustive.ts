import { invariant } from '../../base/index.ts';
import type { Schedule } from '../schedule/schedule.ts';
import type { Search, SearchFigures, SearchOutcome } from './outcome.ts';
import type { Space, Step } from './space.ts';
import { StateSet } from './state-set.ts';

export interface ExhaustiveOptions {
  /** `depth` goes down first and needs little beside the states; `breadth` finds a shortest schedule. */
  readonly order?: 'depth' | 'breadth';
  readonly statesMax?: number;
}

/** What an interrupted search goes on from. */
export interface ExhaustiveCheckpoint {
  readonly width: number;
  readonly words: Int32Array;
  readonly parents: Int32Array;
  readonly stepsTaken: Int32Array;
  readonly waiting: Int32Array;
  readonly next: number;
  readonly figures: SearchFigures;
}

export const STATES_MAX = 20_000_000;

/**
 * Every state that any schedule reaches, each expanded once: two schedules that meet in a state have the same futures, because a step depends
 * on nothing but the state. The state is kept whole, so nothing is missed to a collision.
 *
 * 1. Take a state that waits (the last one: depth first, or the first).
 * 2. Take each of its steps. A violation ends the search with the schedule that led there.
 * 3. Bring the new state to its normal form; when it has not been seen, it waits.
 * 4. A state without steps is the end of a run, and is asked whether it may be.
 */
export class ExhaustiveSearch implements Search {
  readonly #space: Space;
  readonly #statesMax: number;
  readonly #isBreadth: boolean;
  #seen: StateSet;
  /** Numbers of states that wait (depth first). */
  #waiting: number[] = [];
  /** The next state to expand (breadth first: states wait in the order of their numbers). */
  #next = 0;
  #steps = 0;
  #schedules = 0;
  readonly #state: Int32Array;
  readonly #after: Int32Array;
  readonly #enabled: Step[] = [];

  constructor(space: Space, options: ExhaustiveOptions = {}, checkpoint?: ExhaustiveCheckpoint) {
    this.#space = space;
    this.#statesMax = options.statesMax ?? STATES_MAX;
    this.#isBreadth = options.order === 'breadth';
    this.#state = new Int32Array(space.width);
    this.#after = new Int32Array(space.width);
    this.#seen = new StateSet(space.width);
    if (checkpoint === undefined) {
      space.initial(this.#after);
      space.normalise?.(this.#after);
      this.#waiting.push(this.#seen.add(this.#after, -1, 0));
      return;
    }
    invariant(checkpoint.width === space.width, 'a checkpoint of another scenario');
    const { words, parents, stepsTaken } = checkpoint;
    this.#seen = StateSet.restore(space.width, { words, parents, steps: stepsTaken });
    this.#waiting = [...checkpoint.waiting];
    this.#next = checkpoint.next;
    this.#steps = checkpoint.figures.steps;
    this.#schedules = checkpoint.figures.schedules;
  }

  get figures(): SearchFigures {
    return { states: this.#seen.size, steps: this.#steps, schedules: this.#schedules, depthMax: 0 };
  }

  checkpoint(): ExhaustiveCheckpoint {
    const { words, parents, steps } = this.#seen.save();
    const waiting = Int32Array.from(this.#waiting);
    const { width } = this.#space;
    return { width, words, parents, stepsTaken: steps, waiting, next: this.#next, figures: this.figures };
  }

  advance(steps: number): SearchOutcome | undefined {
    const until = this.#steps + steps;
    while (this.#steps < until) {
      const number = this.#isBreadth ? this.#next : this.#waiting.pop();
      if (number === undefined || number >= this.#seen.size)
        return { kind: 'holds', isExhaustive: true, figures: this.figures };
      if (this.#isBreadth) this.#next++;
      const found = this.#expand(number);
      if (found !== undefined) return found;
      if (this.#seen.size > this.#statesMax) return { kind: 'bound', bound: 'states', figures: this.figures };
    }
    return undefined;
  }

  #expand(number: number): SearchOutcome | undefined {
    const space = this.#space;
    const state = this.#state;
    const after = this.#after;
    this.#seen.read(number, state);
    space.steps(state, this.#enabled);
    if (this.#enabled.length === 0) {
      this.#schedules++;
      // A state without steps costs time, too: a search of such states alone must come back.
      this.#steps++;
      const violation = space.end(state);
      return violation === 0 ? undefined : this.#violated(violation, number, undefined);
    }
    let isLeaf = true;
    for (const step of this.#enabled) {
      this.#steps++;
      const violation = space.apply(state, step, after);
      if (violation !== 0) return this.#violated(violation, number, step);
      space.normalise?.(after);
      const added = this.#seen.add(after, number, step);
      if (added < 0) continue;
      isLeaf = false;
      if (!this.#isBreadth) this.#waiting.push(added);
    }
    if (isLeaf) this.#schedules++;
    return undefined;
  }

  #violated(violation: number, number: number, last: Step | undefined): SearchOutcome {
    const path: number[] = [];
    for (let at = number; at > 0; at = this.#seen.parent(at)) path.push(at);
    const schedule = this.#concrete(path.reverse(), last);
    return { kind: 'violated', violation: this.#space.violation(violation), schedule, figures: this.figures };
  }

  /** The steps along a path of normal forms, named for the actors that really take them. */
  #concrete(path: readonly number[], last: Step | undefined): Schedule {
    const space = this.#space;
    const normal = new Int32Array(space.width);
    const wanted = new Int32Array(space.width);
    let now = new Int32Array(space.width);
    space.initial(now);
    const schedule: Step[] = [];
    const take = (fits: (after: Int32Array, violation: number) => boolean): void => {
      const enabled: Step[] = [];
      space.steps(now, enabled);
      const after = new Int32Array(space.width);
      const step = enabled.find((each) => fits(after, space.apply(now, each, after)));
      invariant(step !== undefined, 'a path of normal forms that no schedule takes');
      space.apply(now, step, after);
      schedule.push(step);
      now = after;
    };
    for (const number of path) {
      this.#seen.read(number, wanted);
      take((after, violation) => {
        if (violation !== 0) return false;
        normal.set(after);
        space.normalise?.(normal);
        return normal.every((word, i) => word === wanted[i]);
      });
    }
    if (last !== undefined) take((_, violation) => violation !== 0);
    return schedule;
  }
}
