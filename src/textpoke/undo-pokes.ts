/**
 * Undoing what has been poked since some moment: for a command that is given up in the midst. Newest first, under the same hold of text_mutex,
 * and each step compares the bytes it expects before it writes, as every poke does.
 */
import { invariant } from '../base/index.ts';
import { INT3_INSN_OPCODE, INT3_INSN_SIZE } from '../insn/index.ts';
import { publishVector, putPokeVector } from './bp-desc.ts';
import type { KernelText } from './kernel-text.ts';
import { type Poke, type PokeEntry, type PreparedEntry, prepareEntry } from './poke-entry.ts';
import type { PokePhase } from './poke-phase.ts';
import { runPhases } from './run-phases.ts';
import { assertHeld, type TextMutexHeld } from './text-mutex.ts';
import { type PokeMachine, pokeBytes, textPokeSync, writeBehindEveryone } from './text-poke.ts';
import { vectorEntries } from './text-poke-bp.ts';

type Done =
  /** Arena that nobody executes: code that was copied or taken away. */
  | { readonly kind: 'copy'; readonly at: number; readonly before: Uint8Array; readonly after: Uint8Array }
  /** One write that needed no int3. */
  | { readonly kind: 'poke'; readonly poke: Poke }
  /** One vector of the int3 protocol, `from`: how many pokes the history had when it was published. */
  | { readonly kind: 'vector'; readonly entries: readonly PokeEntry[]; readonly from: number };

/** What has been poked, in order, so that it can be undone exactly. To be told of each write before the next one. */
export class PokeTrail {
  readonly #text: KernelText;
  readonly #done: Done[] = [];
  /** Of the entries given to the poke under way: how many are in vectors that have been published. */
  #published = 0;

  constructor(text: KernelText) {
    this.#text = text;
    text.history.mark();
  }

  /** Runs a copy or a fill of `length` bytes at `at`. */
  copying(at: number, length: number, copy: () => void): void {
    const before = this.#text.bytes(at, length);
    copy();
    this.#done.push({ kind: 'copy', at, before, after: this.#text.bytes(at, length) });
  }

  /** A poke of these entries begins. */
  begin(): void {
    this.#published = 0;
  }

  /** A phase of text_poke_bp's protocol over `entries`, or of text_poke with its one entry. The pokes that the phase is about. */
  note(entries: readonly PokeEntry[], phase: PokePhase): readonly Poke[] {
    if (phase.kind === 'publish') {
      const vector = entries.slice(this.#published, this.#published + phase.entries);
      this.#published += phase.entries;
      this.#done.push({ kind: 'vector', entries: vector, from: this.#text.history.state().sequence });
    } else if (phase.kind === 'poke') {
      const [poke] = entries;
      invariant(poke !== undefined, 'a poke of nothing');
      this.#done.push({ kind: 'poke', poke });
    }
    const last = this.#done.at(-1);
    return last === undefined || last.kind === 'copy' ? [] : last.kind === 'poke' ? [last.poke] : last.entries;
  }

  /**
   * Undoes all of it: text and published vector are as they were when the trail began, and the history does not know of it, as it will not
   * when the journal is run again. Once.
   */
  undo(held: TextMutexHeld, machine: PokeMachine): void {
    assertHeld(held);
    const { history } = this.#text;
    const { sequence } = history.state();
    for (const done of this.#done.splice(0).reverse()) this.#undoOne(held, machine, done, sequence);
    history.backToMark();
  }

  /** Nothing is going to be undone any more. To be called in any case, before the next trail. */
  end(): void {
    this.#text.history.forgetMark();
  }

  /** `sequence`: of the last poke that landed. */
  #undoOne(held: TextMutexHeld, machine: PokeMachine, done: Done, sequence: number): void {
    const text = this.#text;
    switch (done.kind) {
      case 'copy':
        expectText(text, done.at, done.after);
        writeBehindEveryone(held, text, done.at, done.before);
        return;
      case 'poke':
        expectText(text, done.poke.at, done.poke.bytes);
        pokeBytes(held, text, done.poke.at, done.poke.expected);
        textPokeSync(machine);
        return;
      case 'vector': {
        const recorded = Math.min(sequence - done.from, done.entries.length);
        runPhases(undoVector(held, text, done.entries, recorded), machine);
      }
    }
  }
}

function expectText(text: KernelText, at: number, bytes: Uint8Array): void {
  invariant(text.equals(at, bytes), () => `text at ${at} is not what was poked there: it cannot be undone`);
}

/**
 * text_poke_bp_batch backwards, from wherever it stopped. The first `recorded` entries have their new tail, the others their old one; where
 * they stand with their first byte, the text says.
 *
 *  0. Every entry must be in one of the states that the protocol leaves behind it. Publish the vector, unless it still is.
 *  1. Write int3 over byte 0 of every entry that has its new one. Sync, if anything was written.
 *  2. Write the old bytes 1.. of every entry that has the new ones. Sync, if anything was written.
 *  3. Write the old byte 0 of every entry that does not have it. Sync, if anything was written.
 *  4. Drop the reference and wait until no int3 handler reads the vector.
 *
 * Until 3 a CPU that comes by traps and is played the new instruction, as it was on the way there; after it, it executes the old one. No CPU
 * fetches a tail that changes. Entries are those of one vector.
 */
export function* undoVector(
  held: TextMutexHeld,
  text: KernelText,
  entries: readonly PokeEntry[],
  recorded: number,
): Generator<PokePhase, void, undefined> {
  assertHeld(held);
  const batch = entries.map(prepareEntry);
  // 0. Know every state, publish.
  for (const [entry, prepared] of batch.entries()) assertOnItsWay(text, prepared, entry < recorded);
  if (text.pokeVector.refs === 0) {
    publishVector(held, text, vectorEntries(batch));
    yield { kind: 'publish', entries: batch.length };
  }

  // 1. int3 where the new instruction begins.
  const isNew = (entry: number): boolean => entry < recorded;
  let written = false;
  for (const [entry, { at }] of batch.entries()) {
    if (!isNew(entry) || text.u8(at) === INT3_INSN_OPCODE) continue;
    pokeBytes(held, text, at, INT3);
    written = true;
    yield { kind: 'int3', entry, at };
  }
  if (written) yield { kind: 'sync', after: 'int3' };

  // 2. The old tails.
  written = false;
  for (const [entry, { at, expected }] of batch.entries()) {
    if (!isNew(entry) || expected.length <= INT3_INSN_SIZE) continue;
    pokeBytes(held, text, at + INT3_INSN_SIZE, expected, INT3_INSN_SIZE);
    written = true;
    yield { kind: 'tail', entry, at };
  }
  if (written) yield { kind: 'sync', after: 'tail' };

  // 3. The old first bytes.
  written = false;
  for (const [entry, { at, expected }] of batch.entries()) {
    if (text.u8(at) === expected[0]) continue;
    pokeBytes(held, text, at, expected, 0, INT3_INSN_SIZE);
    written = true;
    yield { kind: 'first', entry, at };
  }
  if (written) yield { kind: 'sync', after: 'first' };

  // 4. Retire the vector.
  yield { kind: 'unpublish', refs: putPokeVector(text) };
  while (text.pokeVector.refs > 0) yield { kind: 'unpublish', refs: text.pokeVector.refs };
}

const INT3 = Uint8Array.of(INT3_INSN_OPCODE);

function assertOnItsWay(text: KernelText, { at, expected, bytes }: PreparedEntry, hasNewTail: boolean): void {
  const first = text.u8(at);
  const tail = hasNewTail ? bytes : expected;
  const ownFirst = hasNewTail ? bytes[0] : expected[0];
  const isKnown =
    (first === INT3_INSN_OPCODE || first === ownFirst) &&
    (tail.length === INT3_INSN_SIZE || text.equals(at + INT3_INSN_SIZE, tail, INT3_INSN_SIZE));
  invariant(isKnown, () => `text at ${at} is not what was poked there: it cannot be undone`);
}
