/**
 * What a search walks: states of a fixed number of words, and the steps that actors can take in them. Everything a strategy needs and nothing of
 * what it is about, so that strategies are tested on toys.
 */
export interface Space {
  /** Words of a state. */
  readonly width: number;
  /** Names of the actors, as schedules print them; the index is what a step encodes. */
  readonly actors: readonly string[];
  initial(into: Int32Array): void;
  /** Replaces `out` by the steps that can be taken, in an order that is the same whenever the state is. */
  steps(state: Int32Array, out: Step[]): void;
  /** The state after a step that {@link steps} named. Answers 0, or the number of a violation. */
  apply(state: Int32Array, step: Step, into: Int32Array): number;
  /** For a state without steps: 0 when the run may end so, or the number of a violation. */
  end(state: Int32Array): number;
  violation(number: number): Violation;
  /** What the step is, in words. */
  describe(state: Int32Array, step: Step): string;
  /** All that a state is, in words that two spaces of one scenario have in common. */
  render(state: Int32Array): string;
  /** Makes states that differ only in which of several equal actors is which the same, in place. */
  normalise?(state: Int32Array): void;
}

/** Something that must not happen. `property` is the one that does not hold. */
export interface Violation {
  readonly property: string;
  readonly detail: string;
}

/**
 * One step of one actor: actor in 5 bits, kind in 2, and which of the alternatives that chance offers.
 */
export type Step = number;

/** `run`: on by one; the others come to a CPU from outside. */
export const STEP_KINDS = ['run', 'ipi', 'irq', 'nmi'] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export const ACTORS_MAX = 32;
export const ALTERNATIVES_MAX = 1 << 16;
export const RUN = 0;
export const IPI = 1;
export const IRQ = 2;
export const NMI = 3;

export const makeStep = (actor: number, kind = RUN, alternative = 0): Step => actor | (kind << 5) | (alternative << 7);
export const actorOf = (step: Step): number => step & 31;
export const kindOf = (step: Step): number => (step >> 5) & 3;
export const alternativeOf = (step: Step): number => step >>> 7;
