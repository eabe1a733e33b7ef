import { invariant } from '../base/index.ts';
import type { PokePhase } from './poke-phase.ts';
import { type PokeMachine, textPokeSync } from './text-poke.ts';

/** Turns of cpu_relax after which a reader is taken for stuck. */
const RELAX_MAX = 1_000_000;

/** Runs a poke straight through, syncing CPUs where it asks for it. The explorer steps the same generators instead. */
export function runPhases<T>(phases: Generator<PokePhase, T, undefined>, machine: PokeMachine): T {
  const value = runPhasesWhile(phases, machine, () => true);
  invariant(value !== GIVEN_UP, 'nobody gave up');
  return value;
}

/** What {@link runPhasesWhile} answers when it was not to go on. */
export const GIVEN_UP: unique symbol = Symbol('given up');

/**
 * The same, asking before each phase is obeyed whether to go on. When not, the poke stays where it is, between two of its phases, for
 * whoever asked to undo.
 */
export function runPhasesWhile<T>(
  phases: Generator<PokePhase, T, undefined>,
  machine: PokeMachine,
  mayGoOn: (phase: PokePhase) => boolean,
): T | typeof GIVEN_UP {
  let relaxed = 0;
  for (let step = phases.next(); ; step = phases.next()) {
    if (step.done === true) return step.value;
    const phase = step.value;
    if (!mayGoOn(phase)) return GIVEN_UP;
    if (phase.kind === 'sync') textPokeSync(machine);
    else if (phase.kind === 'unpublish' && phase.refs > 0) {
      invariant(
        machine.cpuRelax !== undefined && relaxed < RELAX_MAX,
        () => `${phase.refs} int3 handlers keep a poke vector`,
      );
      relaxed++;
      machine.cpuRelax();
    }
  }
}
