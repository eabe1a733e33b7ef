import type { Schedule } from '../schedule/schedule.ts';
import type { Violation } from './space.ts';

/** How far a search has come. */
export interface SearchFigures {
  /** Different states seen (0 for strategies that keep none). */
  readonly states: number;
  /** Steps taken. */
  readonly steps: number;
  /** Runs that came to an end, or to a state that was known. */
  readonly schedules: number;
  /** The longest of them; breadth first how many steps deep it has looked; 0 for depth first, which does not count them. */
  readonly depthMax: number;
}

/** What it may not go beyond. `depth`: steps of one schedule, breadth first. */
export type SearchBound = 'states' | 'ms' | 'steps' | 'depth';

/**
 * How a search ended. `holds`: an exhaustive one saw everything, a sampling one all it was asked for (`isExhaustive` says which). A bound is an answer
 * of its own: nothing was found up to it, and nothing is claimed beyond.
 */
export type SearchOutcome =
  | { readonly kind: 'holds'; readonly isExhaustive: boolean; readonly figures: SearchFigures }
  | {
      readonly kind: 'violated';
      readonly violation: Violation;
      readonly schedule: Schedule;
      readonly figures: SearchFigures;
    }
  | { readonly kind: 'bound'; readonly bound: SearchBound; readonly figures: SearchFigures }
  | { readonly kind: 'stopped'; readonly figures: SearchFigures };

/** A search that is carried on piece by piece, so that whoever runs it can look at the clock and stop it. */
export interface Search {
  /** Goes on for about so many steps; an outcome when it has come to an end. */
  advance(steps: number): SearchOutcome | undefined;
  readonly figures: SearchFigures;
}
