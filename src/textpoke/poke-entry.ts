import { copyOf, invariant, type TextOffset } from '../base/index.ts';
import { type PokeLoc, pokeLoc } from '../insn/index.ts';
import type { KernelText } from './kernel-text.ts';
import type { PokeAuthor } from './poke-history.ts';

/** One write that somebody wants: where, what must stand there, what shall. `expected` and `bytes` have one length. */
export interface Poke {
  readonly at: TextOffset;
  readonly expected: Uint8Array;
  readonly bytes: Uint8Array;
  readonly by: PokeAuthor;
}

/** A {@link Poke} of a live instruction of 1, 2, 5 or 6 bytes. */
export interface PokeEntry extends Poke {
  /** What int3 handlers play where it differs from `bytes` (text_poke_bp's `emulate`). */
  readonly emulate?: Uint8Array;
}

/** Text is not what its owners account for; nothing was written. What follows (quarantine) is for whoever asked. */
export interface PokeMismatch {
  readonly kind: 'poke-mismatch';
  /** Index of the entry in what was asked. */
  readonly entry: number;
  readonly at: TextOffset;
  readonly expected: Uint8Array;
  readonly actual: Uint8Array;
}

/** Every poke whose expected bytes are not there, in the order given. */
export function compareExpected(text: KernelText, pokes: readonly Poke[]): readonly PokeMismatch[] {
  return pokes.flatMap((poke, entry) => compareOne(text, poke, entry) ?? []);
}

/** The first of them. */
export function firstMismatch(text: KernelText, pokes: readonly Poke[]): PokeMismatch | undefined {
  let entry = 0;
  for (const poke of pokes) {
    const mismatch = compareOne(text, poke, entry);
    if (mismatch !== undefined) return mismatch;
    entry += 1;
  }
  return undefined;
}

function compareOne(text: KernelText, { at, expected, bytes }: Poke, entry: number): PokeMismatch | undefined {
  invariant(
    expected.length === bytes.length && bytes.length > 0,
    () => `poke at ${at}: expected and new bytes differ in length`,
  );
  if (text.equals(at, expected)) return undefined;
  const actual = text.bytes(at, expected.length);
  return { kind: 'poke-mismatch', entry, at, expected: expected.slice(), actual };
}

/** What a batch works on: an entry, checked, with its own copies of the bytes. */
export interface PreparedEntry extends Poke {
  readonly loc: PokeLoc;
}

/**
 * Checks an entry as text_poke_loc_init does. Anything that may not stand at a live site is our bug, as it is BUG there.
 */
export function prepareEntry(poke: PokeEntry): PreparedEntry {
  const checked = pokeLoc(poke.bytes, poke.at, poke.emulate);
  if (!checked.ok) invariant(false, `poke at ${poke.at}: ${checked.reason}`);
  const loc = checked.value;
  return { at: poke.at, expected: copyOf(poke.expected), bytes: loc.text, by: poke.by, loc };
}
