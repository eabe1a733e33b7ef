import { invariant } from '../../base/index.ts';
import type { Schedule } from '../schedule/schedule.ts';
import type { Search, SearchFigures, SearchOutcome } from './outcome.ts';
import type { Space, Step } from './space.ts';
import { StateSet } from './state-set.ts';

export interface ExhaustiveOptions {
  /** `depth` goes down first and needs little beside the states; `breadth` finds a shortest schedule. */
  readonly order?: 'depth' | 'breadth';
  readonly statesMax?: number;
  /** Breadth first: steps of the longest schedule that is tried. */
  readonly depthMax?: number;
}

/**
 * What an interrupted search goes on from. States are not in it, only how each was come to: a new space numbers the parts of its states anew, and
 * takes the same steps again. That is less than one step for each state, where the search took one for each way to it.
 */
export interface ExhaustiveCheckpoint {
  /** By state, in the order in which they were found: the state it was found from and the step; the first has -1 and 0. */
  readonly parents: Int32Array;
  readonly stepsTaken: Int32Array;
  readonly waiting: Int32Array;
  readonly next: number;
  /** Breadth first: how many steps deep the state at `next` is, and where those that are deeper begin. */
  readonly depth: number;
  readonly levelEnd: number;
  /** There are longer schedules than are tried. */
  readonly isCut: boolean;
  readonly figures: SearchFigures;
}

/** The steps of a checkpoint do not lead to new states here: it is of another scenario, or of another version of this program. */
export class CheckpointError extends Error {
  constructor() {
    super('the checkpoint is of another scenario, or of another version');
    this.name = 'CheckpointError';
  }
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
  readonly #depthMax: number;
  #seen: StateSet;
  /** Numbers of states that wait (depth first). */
  #waiting: number[] = [];
  /** The next state to expand (breadth first: states wait in the order of their numbers). */
  #next = 0;
  #depth = 0;
  #levelEnd = 1;
  #isCut = false;
  #steps = 0;
  #schedules = 0;
  readonly #state: Int32Array;
  readonly #after: Int32Array;
  readonly #enabled: Step[] = [];

  constructor(space: Space, options: ExhaustiveOptions = {}, checkpoint?: ExhaustiveCheckpoint) {
    this.#space = space;
    this.#statesMax = options.statesMax ?? STATES_MAX;
    this.#isBreadth = options.order === 'breadth';
    this.#depthMax = options.depthMax ?? Number.POSITIVE_INFINITY;
    this.#state = new Int32Array(space.width);
    this.#after = new Int32Array(space.width);
    this.#seen = new StateSet(space.width);
    if (checkpoint === undefined) {
      space.initial(this.#after);
      space.normalise?.(this.#after);
      this.#waiting.push(this.#seen.add(this.#after, -1, 0));
      return;
    }
    this.#retrace(checkpoint);
    this.#waiting = Array.from(checkpoint.waiting);
    this.#next = checkpoint.next;
    this.#depth = checkpoint.depth;
    this.#levelEnd = checkpoint.levelEnd;
    this.#isCut = checkpoint.isCut;
    this.#steps = checkpoint.figures.steps;
    this.#schedules = checkpoint.figures.schedules;
  }

  /** Every state again, in the order of their numbers, each by the step that first led to it. */
  #retrace({ parents, stepsTaken }: ExhaustiveCheckpoint): void {
    const space = this.#space;
    const state = this.#state;
    const after = this.#after;
    for (let number = 0; number < parents.length; number++) {
      const parent = parents[number] ?? -1;
      const step = stepsTaken[number] ?? 0;
      if (number === 0) space.initial(after);
      else {
        if (parent < 0 || parent >= number) throw new CheckpointError();
        this.#seen.read(parent, state);
        space.steps(state, this.#enabled);
        if (!this.#enabled.includes(step) || space.apply(state, step, after) !== 0) throw new CheckpointError();
      }
      space.normalise?.(after);
      if (this.#seen.add(after, parent, step) !== number) throw new CheckpointError();
    }
  }

  get figures(): SearchFigures {
    return { states: this.#seen.size, steps: this.#steps, schedules: this.#schedules, depthMax: this.#depth };
  }

  checkpoint(): ExhaustiveCheckpoint {
    const { parents, steps } = this.#seen.save();
    const waiting = Int32Array.from(this.#waiting);
    const place = { next: this.#next, depth: this.#depth, levelEnd: this.#levelEnd, isCut: this.#isCut };
    return { parents, stepsTaken: steps, waiting, ...place, figures: this.figures };
  }

  advance(steps: number): SearchOutcome | undefined {
    const until = this.#steps + steps;
    while (this.#steps < until) {
      const number = this.#isBreadth ? this.#next : this.#waiting.pop();
      if (number === undefined || number >= this.#seen.size) return this.#ended();
      if (this.#isBreadth) this.#goOn();
      const found = this.#expand(number);
      if (found !== undefined) return found;
      if (this.#seen.size > this.#statesMax) return { kind: 'bound', bound: 'states', figures: this.figures };
    }
    return undefined;
  }

  #ended(): SearchOutcome {
    const { figures } = this;
    return this.#isCut ? { kind: 'bound', bound: 'depth', figures } : { kind: 'holds', isExhaustive: true, figures };
  }

  /** Behind the state at `next`. */
  #goOn(): void {
    if (this.#next === this.#levelEnd) {
      this.#depth++;
      this.#levelEnd = this.#seen.size;
    }
    this.#next++;
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
    if (this.#depth >= this.#depthMax) {
      this.#isCut = true;
      this.#steps++;
      return undefined;
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
