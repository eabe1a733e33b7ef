import type { KernelText, PokeEntry, PokePhases, PokeVectorEntry, TextMutexHeld } from '../../textpoke/index.ts';
import type { Op, Scenario } from '../scenario/scenario.ts';

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
  /** What int3 handlers find published. */
  readonly vector?: (entries: readonly PokeVectorEntry[]) => readonly PokeVectorEntry[];
  /** Handlers look at the vector without a reference. */
  readonly takesNoReference?: boolean;
}

export const UNCHANGED: Mutation = {};

/** The scenario that a mutant's patchers make of one. */
export function mutate(scenario: Scenario, { ops }: Mutation): Scenario {
  if (ops === undefined) return scenario;
  return { ...scenario, patchers: scenario.patchers.map((patcher, p) => ({ do: ops(patcher.do, p) })) };
}
