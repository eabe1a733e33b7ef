import { type Fault, invariant, type Result, textOffset } from '../base/index.ts';
import type { TextChange, TextOp } from '../registry/index.ts';
import {
  addSummaries,
  GIVEN_UP,
  type KernelText,
  NO_POKES,
  type Poke,
  type PokeAuthor,
  type PokeEntry,
  type PokeMachine,
  type PokeMismatch,
  type PokePhase,
  type PokeSummary,
  type PokeTrail,
  runPhases,
  runPhasesWhile,
  type TextMutexHeld,
  textPokeBpAll,
  textPokeCopy,
  textPokeSet,
  textPokeThenSync,
} from '../textpoke/index.ts';

/** A moment of carrying out: between two phases of a poke, or behind a piece of code that was copied or taken away. */
export type CarryOutStep = PokePhase | { readonly kind: 'install' | 'remove' | 'wait' };

/** Carrying out that may be given up at every step, and what has been done until then. */
export interface Trial {
  readonly trail: PokeTrail;
  /** Asked at every step; `pokes`: those that the step is about. A fault: give up here. */
  at(step: CarryOutStep, pokes: readonly Pick<Poke, 'at'>[]): Fault | undefined;
}

/** A command was given up in the midst: what it has poked is still there, and its trail can undo it. Caught by the kernel, by nobody else. */
export class PokeGivenUp extends Error {
  override readonly name = 'PokeGivenUp';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.detail);
    this.fault = fault;
  }
}

const entry = (change: TextChange, by: PokeAuthor): PokeEntry => ({
  at: textOffset(change.at),
  expected: change.expected,
  bytes: change.bytes,
  by,
});

/** The decision verified these bytes under the same hold of text_mutex, so a mismatch here is our bug. */
function done(result: Result<PokeSummary, PokeMismatch>): PokeSummary {
  if (!result.ok) invariant(false, `text changed between decision and poke at _text+0x${result.fault.at.toString(16)}`);
  return result.value;
}

type Phases = Generator<PokePhase, Result<PokeSummary, PokeMismatch>, undefined>;

function poked(
  phases: Phases,
  entries: readonly PokeEntry[],
  machine: PokeMachine,
  trial: Trial | undefined,
): PokeSummary {
  if (trial === undefined) return done(runPhases(phases, machine));
  let fault: Fault | undefined;
  trial.trail.begin();
  const result = runPhasesWhile(phases, machine, (phase) => {
    fault = trial.at(phase, trial.trail.note(entries, phase));
    return fault === undefined;
  });
  if (result !== GIVEN_UP) return done(result);
  invariant(fault !== undefined, 'a poke is given up for a reason');
  throw new PokeGivenUp(fault);
}

function copied(
  trial: Trial | undefined,
  op: { readonly kind: 'install' | 'remove'; readonly at: number },
  length: number,
  copy: () => void,
): void {
  if (trial === undefined) copy();
  else trial.trail.copying(op.at, length, copy);
  passed(trial, op.kind, [{ at: textOffset(op.at) }]);
}

function passed(trial: Trial | undefined, kind: 'install' | 'remove' | 'wait', pokes: readonly Pick<Poke, 'at'>[]) {
  const fault = trial?.at({ kind }, pokes);
  if (fault !== undefined) throw new PokeGivenUp(fault);
}

/**
 * Carries the ops of a decision out on the simulated kernel, in order, under text_mutex. What it cost in pokes, batches and sync rounds.
 * Grace periods pass at once while no simulated CPU runs: nobody can be inside what is removed. With a trial it may throw {@link PokeGivenUp}.
 */
export function carryOut(
  held: TextMutexHeld,
  text: KernelText,
  machine: PokeMachine,
  ops: readonly TextOp[],
  { author, trial }: { readonly author: Omit<PokeAuthor, 'reason'>; readonly trial?: Trial | undefined },
): PokeSummary {
  let total = NO_POKES;
  for (const op of ops) {
    // What the kernel does by itself is done for one owner here, for another there.
    const owner = 'attachment' in op && op.attachment !== undefined ? { attachment: op.attachment } : {};
    const by: PokeAuthor = { ...author, ...owner, reason: op.what };
    switch (op.kind) {
      case 'install':
        copied(trial, op, op.bytes.length, () => {
          textPokeCopy(held, text, { at: textOffset(op.at), bytes: op.bytes, by });
        });
        break;
      case 'remove':
        copied(trial, op, op.expected.length, () => {
          textPokeSet(held, text, { at: textOffset(op.at), length: op.expected.length, by });
        });
        break;
      case 'byte': {
        const poke = { ...entry(op, by), ...(op.notExecuting === undefined ? {} : { notExecuting: op.notExecuting }) };
        total = addSummaries(total, poked(textPokeThenSync(held, text, poke), [poke], machine, trial));
        break;
      }
      case 'wait':
        passed(trial, 'wait', []);
        break;
      case 'poke': {
        const entries = [{ ...entry(op, by), ...(op.emulate === undefined ? {} : { emulate: op.emulate }) }];
        total = addSummaries(total, poked(textPokeBpAll(held, text, entries), entries, machine, trial));
        break;
      }
      case 'batch': {
        const entries = op.changes.map((change) => entry(change, by));
        total = addSummaries(total, poked(textPokeBpAll(held, text, entries), entries, machine, trial));
      }
    }
  }
  return total;
}
