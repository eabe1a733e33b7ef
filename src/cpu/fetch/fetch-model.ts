/**
 * How stale the instruction bytes of a CPU may be. Ordered: whatever a later model shows, an earlier one shows too.
 *
 * - `weak`: each byte is any value that it had since the CPU last serialised, chosen anew for every fetch and without regard to its neighbours.
 *   What the manuals leave when nothing but their guarantees is used.
 * - `quad`: naturally aligned eight bytes come from one moment since then, two of them from two moments.
 * - `line`: the same for a line of 64 bytes.
 * - `sc`: always what memory holds now. No processor is this strong; it shows which faults are faults of order alone.
 *
 * docs/instruction-fetch.md says which sentences of the manuals each of them rests on.
 */
export const FETCH_MODELS = ['weak', 'quad', 'line', 'sc'] as const;
export type FetchModelName = (typeof FETCH_MODELS)[number];

/** Bytes that are fetched from one moment; 0: nothing is ever stale. */
export const FETCH_UNIT: Readonly<Record<FetchModelName, number>> = { weak: 1, quad: 8, line: 64, sc: 0 };

/** What SDM vol. 3 "Guaranteed Atomic Operations" and AMD APM vol. 2 promise in common. */
const ATOMIC_BYTES = 8;

/** A change of text. */
export interface TextStore {
  readonly at: number;
  readonly bytes: Uint8Array;
  /** Made by one store instruction. A copy (`text_poke_memcpy`) is not: nothing says in which pieces or order its bytes arrive. */
  readonly isSingle?: boolean;
}

/** True when all bytes of a store become visible at once: one byte, or one store that lies within aligned eight bytes. */
export function isAtomicStore({ at, bytes, isSingle }: TextStore): boolean {
  if (bytes.length === 1) return true;
  return isSingle === true && Math.floor(at / ATOMIC_BYTES) === Math.floor((at + bytes.length - 1) / ATOMIC_BYTES);
}
