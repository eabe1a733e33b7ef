import type { Exploration, Found, Strategy } from '../explore.ts';
import type { Scenario } from '../scenario/scenario.ts';
import type { SearchBound, SearchFigures } from '../search/outcome.ts';

/** What a thread is started with: plain data, so a mutant comes by name. */
export interface ExplorationJob {
  readonly scenario: Scenario;
  /** One of MUTANTS. */
  readonly mutant?: string;
  readonly strategy: Strategy;
  readonly maxMs: number;
  readonly maxStates: number;
  readonly maxSteps?: number;
}

export type FromThread =
  | { readonly kind: 'progress'; readonly figures: SearchFigures }
  | { readonly kind: 'found'; readonly found: Found }
  | { readonly kind: 'done'; readonly exploration: Exploration }
  /** The scenario asks for what cannot be played, or an exception of ours. */
  | { readonly kind: 'failed'; readonly detail: string };

/** How an exploration in a thread ended. */
export interface ThreadEnd extends Omit<Exploration, 'outcome' | 'bound' | 'checkpoint'> {
  readonly outcome: Exploration['outcome'] | 'failed';
  readonly bound?: SearchBound | 'memory';
  /** `failed`: why. */
  readonly detail?: string;
}
