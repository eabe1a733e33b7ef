import type { JournalStore, StoreBatch, StoreKey } from './store.ts';

/** What goes wrong at a commit of a {@link MemoryStore}. */
export type StoreFault =
  /** Nothing of it is written, and the commit rejects: a full or failing disk. */
  | { readonly kind: 'fail'; readonly code: 'ENOSPC' | 'EIO' }
  /** The commit does not end until {@link MemoryStore.release}. */
  | { readonly kind: 'stall' };

const name = (key: StoreKey): string => (key.kind === 'meta' ? 'meta' : `${key.kind}:${key.number}`);

/**
 * A store in memory whose disk can be taken away: `durable` is what a crash at this moment would leave. Every commit is kept, so that a
 * test can go back to each boundary between two of them, and the suffix behind it is what was never flushed.
 */
export class MemoryStore implements JournalStore {
  readonly #entries: Map<string, { readonly key: StoreKey; readonly value: Uint8Array }>;
  readonly #commits: StoreBatch[] = [];
  #next: StoreFault | undefined;
  #stalled: (() => void) | undefined;

  constructor(from: readonly StoreBatch[] = []) {
    this.#entries = new Map();
    for (const batch of from) this.#apply(batch);
  }

  /** The commits so far, oldest first. */
  get commits(): readonly StoreBatch[] {
    return this.#commits;
  }

  /** What the next commit meets; undefined: nothing. `fail` lasts until it is taken back. */
  set fault(fault: StoreFault | undefined) {
    this.#next = fault;
  }

  release(): void {
    this.#next = undefined;
    this.#stalled?.();
    this.#stalled = undefined;
  }

  async commit(batch: StoreBatch): Promise<void> {
    const fault = this.#next;
    if (fault?.kind === 'fail') throw Object.assign(new Error(`injected ${fault.code}`), { code: fault.code });
    if (fault?.kind === 'stall')
      await new Promise<void>((resolve) => {
        this.#stalled = resolve;
      });
    this.#apply(batch);
  }

  get(key: StoreKey): Uint8Array | undefined {
    return this.#entries.get(name(key))?.value;
  }

  /** Overwrites one entry, as a damaged disk would. */
  damage(key: StoreKey, value: Uint8Array): void {
    this.#entries.set(name(key), { key, value });
  }

  *entries(kind: 'record' | 'snapshot'): Iterable<{ readonly number: number; readonly value: Uint8Array }> {
    const found: { readonly number: number; readonly value: Uint8Array }[] = [];
    for (const { key, value } of this.#entries.values())
      if (key.kind === kind) found.push({ number: key.number, value });
    yield* found.sort((a, b) => a.number - b.number);
  }

  async close(): Promise<void> {}

  #apply(batch: StoreBatch): void {
    this.#commits.push(batch);
    for (const { key, value } of batch.puts) this.#entries.set(name(key), { key, value });
    for (const key of batch.removes ?? []) this.#entries.delete(name(key));
    for (const [id, { key }] of this.#entries)
      if (key.kind === 'record' && key.number < (batch.dropRecordsBelow ?? 0)) this.#entries.delete(id);
  }
}
