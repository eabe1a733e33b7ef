import type { TextOffset } from '../base/index.ts';

/**
 * What has just become visible when a poke's generator yields. `entry` is an index into the published vector. Phases say where the protocol
 * stands; everything else a stepping observer needs is in the text and in its published vector.
 */
export type PokePhase =
  /** The vector is published with one reference; nothing is written yet. */
  | { readonly kind: 'publish'; readonly entries: number }
  /** Byte 0 of the entry is 0xCC. */
  | { readonly kind: 'int3'; readonly entry: number; readonly at: TextOffset }
  /** Bytes 1.. of the entry are the new ones. */
  | { readonly kind: 'tail'; readonly entry: number; readonly at: TextOffset }
  /** Byte 0 of the entry is the new one. */
  | { readonly kind: 'first'; readonly entry: number; readonly at: TextOffset }
  /** One write that needs no int3 is done (text_poke). */
  | { readonly kind: 'poke'; readonly at: TextOffset }
  /** To be obeyed: go on only when every CPU has run a serialising instruction. */
  | { readonly kind: 'sync'; readonly after: 'int3' | 'tail' | 'first' | 'poke' }
  /** The publisher's reference is dropped. `refs` int3 handlers still read the vector; while it is not 0 this phase repeats. */
  | { readonly kind: 'unpublish'; readonly refs: number }
  /** The batch is over. */
  | { readonly kind: 'done'; readonly summary: PokeSummary };

/** What a poke cost. */
export interface PokeSummary {
  /** Sites written. */
  readonly pokes: number;
  readonly batches: number;
  /** IPI rounds. */
  readonly syncRounds: number;
}

export const NO_POKES: PokeSummary = { pokes: 0, batches: 0, syncRounds: 0 };

export const addSummaries = (a: PokeSummary, b: PokeSummary): PokeSummary => ({
  pokes: a.pokes + b.pokes,
  batches: a.batches + b.batches,
  syncRounds: a.syncRounds + b.syncRounds,
});
