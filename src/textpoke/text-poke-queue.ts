import { err, invariant, ok, type Result } from '../base/index.ts';
import type { KernelText } from './kernel-text.ts';
import { firstMismatch, type PokeEntry, type PokeMismatch, type PreparedEntry, prepareEntry } from './poke-entry.ts';
import { addSummaries, NO_POKES, type PokeSummary } from './poke-phase.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';
import { type PokePhases, pokeBatch, TP_VEC_MAX } from './text-poke-bp.ts';

/**
 * text_poke_queue and text_poke_finish (arch/x86/kernel/alternative.c, 6.12): collects entries and pokes them in batches. The queue
 * outlives a hold of text_mutex, as tp_vec does: entries may be queued under one and finished under another.
 *
 * One difference: Linux takes two entries for one address into a batch, where a CPU could then fetch the head of one with the tail of the
 * other. Nothing in Linux does that; here an entry that overlaps the last one is flushed apart.
 */
export class TextPokeQueue {
  readonly #text: KernelText;
  #vector: PreparedEntry[] = [];

  constructor(text: KernelText) {
    this.#text = text;
  }

  /** Entries waiting for a flush. */
  get length(): number {
    return this.#vector.length;
  }

  /**
   * Adds an entry; first flushes when the vector is full or the entry does not lie behind the last one. After a mismatch in that flush the
   * vector is empty, nothing of it was written, and the new entry is not queued.
   */
  *queue(held: TextMutexHeld, entry: PokeEntry): PokePhases {
    assertHeld(held);
    const prepared = prepareEntry(entry);
    let flushed: Result<PokeSummary, PokeMismatch> = ok(NO_POKES);
    if (mustFlush(this.#vector, prepared)) flushed = yield* this.#flush(held);
    if (flushed.ok) this.#vector.push(prepared);
    return flushed;
  }

  /** Flushes what waits. */
  *finish(held: TextMutexHeld): PokePhases {
    assertHeld(held);
    return yield* this.#flush(held);
  }

  #flush(held: TextMutexHeld): PokePhases {
    const batch = this.#vector;
    this.#vector = [];
    return pokeBatch(held, this.#text, batch);
  }
}

/** text_poke_flush's rule, and no overlap. */
function mustFlush(vector: readonly PreparedEntry[], { loc }: PreparedEntry): boolean {
  const last = vector.at(-1)?.loc;
  return last !== undefined && (vector.length === TP_VEC_MAX || last.at + last.len > loc.at);
}

/**
 * Pokes any number of live instructions, all or nothing: every entry is checked and compared with the text before the first byte is
 * written. Then they go in batches as the queue would make them, in the order given: sorted by address they need the fewest. No two
 * may overlap (invariant).
 */
export function* textPokeBpAll(held: TextMutexHeld, text: KernelText, entries: readonly PokeEntry[]): PokePhases {
  assertHeld(held);
  const prepared = entries.map(prepareEntry);
  assertDisjoint(prepared);
  const mismatch = firstMismatch(text, entries);
  if (mismatch !== undefined) return err(mismatch);
  let total = NO_POKES;
  for (const batch of batchesOf(prepared)) {
    const part = yield* pokeBatch(held, text, batch);
    if (!part.ok) invariant(false, `text at ${part.fault.at} changed between the comparison and its batch`);
    total = addSummaries(total, part.value);
  }
  return ok(total);
}

function batchesOf(prepared: readonly PreparedEntry[]): readonly (readonly PreparedEntry[])[] {
  const batches: PreparedEntry[][] = [];
  for (const entry of prepared) {
    const vector = batches.at(-1);
    if (vector === undefined || mustFlush(vector, entry)) batches.push([entry]);
    else vector.push(entry);
  }
  return batches;
}

function assertDisjoint(prepared: readonly PreparedEntry[]): void {
  // Most come in order.
  if (firstOverlap(prepared) === undefined) return;
  const overlap = firstOverlap([...prepared].sort((a, b) => a.loc.at - b.loc.at));
  invariant(overlap === undefined, () => `two pokes of the byte at ${overlap}`);
}

/** Of entries that should ascend: the first that begins before the one in front of it ends. */
function firstOverlap(prepared: readonly PreparedEntry[]): number | undefined {
  let end = -1;
  for (const { loc } of prepared) {
    if (loc.at < end) return loc.at;
    end = loc.at + loc.len;
  }
  return undefined;
}
