/** What the journal asks of a database; LMDB is one (`lmdb-store.ts`), the double that crashes on purpose another (`memory-store.ts`). */

/** `meta` (one), records and snapshots by number. */
export type StoreKey =
  | { readonly kind: 'meta' }
  | { readonly kind: 'record'; readonly number: number }
  | { readonly kind: 'snapshot'; readonly number: number };

export interface StoreBatch {
  readonly puts: readonly { readonly key: StoreKey; readonly value: Uint8Array }[];
  readonly removes?: readonly StoreKey[];
  /** Records with a number below are dropped. */
  readonly dropRecordsBelow?: number;
}

export interface JournalStore {
  /** Writes all of it or nothing; resolves when it is on disk. Rejects with what the system said, and nothing of it counts then. */
  commit(batch: StoreBatch): Promise<void>;
  get(key: StoreKey): Uint8Array | undefined;
  /** Ascending by number. */
  entries(kind: 'record' | 'snapshot'): Iterable<{ readonly number: number; readonly value: Uint8Array }>;
  close(): Promise<void>;
}

export const META: StoreKey = { kind: 'meta' };
export const recordKey = (number: number): StoreKey => ({ kind: 'record', number });
export const snapshotKey = (number: number): StoreKey => ({ kind: 'snapshot', number });
