import type { KernelText, PokeEntry, PokePhases, PokeVectorEntry, TextMutexHeld } from '../../textpoke/index.ts';
import { type Op, PROPERTIES, type Property, type Scenario } from '../scenario/scenario.ts';

export interface BatchContext {
  readonly held: TextMutexHeld;
  readonly text: KernelText;
  readonly entries: readonly PokeEntry[];
}

/**
 * How a mutant differs from what textpoke and its callers do. Every change is made from outside: to a step of a generator, to what a handler is shown,
 * to a patcher's list of operations. The code that the service runs knows nothing of it.
 */
export interface Mutation {
  /** Instead of textPokeBpBatch. */
  readonly batch?: (context: BatchContext) => PokePhases;
  /** Instead of what a patcher (counted from 0) does. */
  readonly ops?: (ops: readonly Op[], patcher: number) => readonly Op[];
  /** What is asked of it, of all that is: an order of locks that is wrong would be told before it locks anybody up. */
  readonly holds?: (properties: readonly Property[]) => readonly Property[];
  /** What int3 handlers find published. */
  readonly vector?: (entries: readonly PokeVectorEntry[]) => readonly PokeVectorEntry[];
  /** Handlers look at the vector without a reference. */
  readonly takesNoReference?: boolean;
}

export const UNCHANGED: Mutation = {};

/** The scenario that a mutant's patchers make of one. */
export function mutate(scenario: Scenario, { ops, holds }: Mutation): Scenario {
  const hold = holds === undefined ? {} : { hold: holds(scenario.hold ?? PROPERTIES) };
  if (ops === undefined) return { ...scenario, ...hold };
  return { ...scenario, ...hold, patchers: scenario.patchers.map((patcher, p) => ({ do: ops(patcher.do, p) })) };
}
