import { invariant, type Result, textOffset } from '../base/index.ts';
import type { TextChange, TextOp } from '../registry/index.ts';
import {
  addSummaries,
  type KernelText,
  NO_POKES,
  type PokeAuthor,
  type PokeEntry,
  type PokeMachine,
  type PokeMismatch,
  type PokeSummary,
  runPhases,
  type TextMutexHeld,
  textPokeBpAll,
  textPokeCopy,
  textPokeSet,
  textPokeThenSync,
} from '../textpoke/index.ts';

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

/**
 * Carries the ops of a decision out on the simulated kernel, in order, under text_mutex. What it cost in pokes, batches and sync rounds.
 * Grace periods pass at once while no simulated CPU runs: nobody can be inside what is removed.
 */
export function carryOut(
  held: TextMutexHeld,
  text: KernelText,
  machine: PokeMachine,
  ops: readonly TextOp[],
  author: Omit<PokeAuthor, 'reason'>,
): PokeSummary {
  let total = NO_POKES;
  for (const op of ops) {
    // What the kernel does by itself is done for one owner here, for another there.
    const owner = 'attachment' in op && op.attachment !== undefined ? { attachment: op.attachment } : {};
    const by: PokeAuthor = { ...author, ...owner, reason: op.what };
    switch (op.kind) {
      case 'install':
        textPokeCopy(held, text, { at: textOffset(op.at), bytes: op.bytes, by });
        break;
      case 'remove':
        textPokeSet(held, text, { at: textOffset(op.at), length: op.expected.length, by });
        break;
      case 'byte': {
        const poke = { ...entry(op, by), ...(op.notExecuting === undefined ? {} : { notExecuting: op.notExecuting }) };
        total = addSummaries(total, done(runPhases(textPokeThenSync(held, text, poke), machine)));
        break;
      }
      case 'wait':
        break;
      case 'poke': {
        const poked = { ...entry(op, by), ...(op.emulate === undefined ? {} : { emulate: op.emulate }) };
        total = addSummaries(total, done(runPhases(textPokeBpAll(held, text, [poked]), machine)));
        break;
      }
      case 'batch': {
        const entries = op.changes.map((change) => entry(change, by));
        total = addSummaries(total, done(runPhases(textPokeBpAll(held, text, entries), machine)));
      }
    }
  }
  return total;
}
