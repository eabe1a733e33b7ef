import type { FetchModelName } from '../../cpu/index.ts';
import type { Property } from '../scenario/scenario.ts';
import type { Mutation } from '../world/mutation.ts';

/** A bug that the explorer must find: what the protocol would be with one thing done wrong. Its page is docs/mutants/NAME.md. */
export interface Mutant {
  readonly name: string;
  readonly title: string;
  /** The scenario, by file name in examples/explorations, that holds without it. */
  readonly scenario: string;
  /** What no longer holds. */
  readonly breaks: Property;
  /** Fetch models under which it is found. The scenario names the weakest. */
  readonly models: readonly FetchModelName[];
  /** The one thing that differs, in the terms of the code. */
  readonly differs: string;
  /** Paragraphs: what goes wrong, and where it happened or is warned of. */
  readonly story: readonly string[];
  readonly sources: readonly string[];
  readonly mutation: Mutation;
}
