import { err, invariant, ok, type Result } from '../base/index.ts';
import { INT3_INSN_OPCODE, INT3_INSN_SIZE } from '../insn/index.ts';
import { publishVector, putPokeVector } from './bp-desc.ts';
import type { KernelText } from './kernel-text.ts';
import { firstMismatch, type PokeEntry, type PokeMismatch, type PreparedEntry, prepareEntry } from './poke-entry.ts';
import { NO_POKES, type PokePhase, type PokeSummary } from './poke-phase.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';
import { pokeBytes } from './text-poke.ts';

/** A vector fills one page of 16-byte entries (TP_VEC_MAX, arch/x86/kernel/alternative.c, 6.12). */
export const TP_VEC_MAX = 256;

export type PokePhases = Generator<PokePhase, Result<PokeSummary, PokeMismatch>, undefined>;

/** text_poke_bp: one live instruction, with a vector of its own. */
export function textPokeBp(held: TextMutexHeld, text: KernelText, entry: PokeEntry): PokePhases {
  return textPokeBpBatch(held, text, [entry]);
}

/**
 * text_poke_bp_batch: replaces up to {@link TP_VEC_MAX} live instructions, none of which any CPU may see half old and half new.
 *
 *  0. Compare the bytes that every entry expects; if one differs, return it and write nothing. Publish the vector with one reference.
 *  1. Write int3 over byte 0 of every entry. Sync.
 *  2. Write bytes 1.. of every entry that has some, and record every entry. Sync, if anything was written.
 *  3. Write byte 0 of every entry that does not become an int3. Sync, if anything was written.
 *  4. Drop the reference and wait until no int3 handler reads the vector.
 *
 * From 1 to 3 a CPU that comes by executes the old instruction (until its sync), or traps and is played the new one from the vector. No
 * CPU fetches a tail that changes, because byte 0 is an int3 for all of them by then. No CPU is stopped.
 *
 * Yields after every single store, so that simulated CPUs can run in between; at a `sync` the caller syncs all CPUs before going on. All
 * that goes on lies in the text, its vector and the phase. Entries ascend and do not overlap (invariant).
 *
 * Source: text_poke_bp_batch and text_poke_loc_init, arch/x86/kernel/alternative.c (6.12); smp_text_poke_batch_finish since 6.16.
 */
export function textPokeBpBatch(held: TextMutexHeld, text: KernelText, entries: readonly PokeEntry[]): PokePhases {
  return pokeBatch(held, text, entries.map(prepareEntry));
}

/** The same for entries that the queue has checked already. For this room. */
export function* pokeBatch(held: TextMutexHeld, text: KernelText, batch: readonly PreparedEntry[]): PokePhases {
  assertHeld(held);
  assertSorted(batch);
  if (batch.length === 0) return ok(NO_POKES);

  // 0. Compare everything, publish.
  const mismatch = firstMismatch(text, batch);
  if (mismatch !== undefined) return err(mismatch);
  publishVector(held, text, vectorEntries(batch));
  yield { kind: 'publish', entries: batch.length };

  // 1. int3 over every first byte.
  for (const [entry, { at }] of batch.entries()) {
    pokeBytes(held, text, at, INT3);
    yield { kind: 'int3', entry, at };
  }
  yield { kind: 'sync', after: 'int3' };

  // 2. Everything but the first byte. Recorded here: before this the old flow or a trap, after this the new flow or a trap.
  for (const [entry, { at, expected, bytes, by }] of batch.entries()) {
    if (bytes.length > INT3_INSN_SIZE) pokeBytes(held, text, at + INT3_INSN_SIZE, bytes, INT3_INSN_SIZE);
    text.history.append(at, expected, bytes, by);
    if (bytes.length > INT3_INSN_SIZE) yield { kind: 'tail', entry, at };
  }
  const hasTails = batch.some(({ bytes }) => bytes.length > INT3_INSN_SIZE);
  if (hasTails) yield { kind: 'sync', after: 'tail' };

  // 3. The first byte, which is already there where it is an int3.
  for (const [entry, { at, bytes }] of batch.entries()) {
    if (bytes[0] === INT3_INSN_OPCODE) continue;
    pokeBytes(held, text, at, bytes, 0, INT3_INSN_SIZE);
    yield { kind: 'first', entry, at };
  }
  const hasFirsts = batch.some(({ bytes }) => bytes[0] !== INT3_INSN_OPCODE);
  if (hasFirsts) yield { kind: 'sync', after: 'first' };

  // 4. Retire the vector.
  let refs = putPokeVector(text);
  yield { kind: 'unpublish', refs };
  while (text.pokeVector.refs > 0) {
    refs = text.pokeVector.refs;
    yield { kind: 'unpublish', refs };
  }
  const summary = { pokes: batch.length, batches: 1, syncRounds: 1 + Number(hasTails) + Number(hasFirsts) };
  yield { kind: 'done', summary };
  return ok(summary);
}

const INT3 = Uint8Array.of(INT3_INSN_OPCODE);

/** For this room. */
export function vectorEntries(
  batch: readonly PreparedEntry[],
): readonly Readonly<Pick<PreparedEntry['loc'], 'at' | 'len' | 'opcode' | 'disp'>>[] {
  return Object.freeze(batch.map(({ loc: { at, len, opcode, disp } }) => Object.freeze({ at, len, opcode, disp })));
}

/** The int3 handler searches by halves; and two entries on one byte would leave the head of one on the tail of the other in phase 3. */
function assertSorted(batch: readonly PreparedEntry[]): void {
  invariant(batch.length <= TP_VEC_MAX, () => `${batch.length} entries in a poke vector of ${TP_VEC_MAX}`);
  let end = -1;
  for (const { loc } of batch) {
    invariant(loc.at >= end, () => `poke vector is not ascending, or overlaps, at ${loc.at}`);
    end = loc.at + loc.len;
  }
}
