/**
 * The journal: numbered records, appended in order and made durable in groups, and snapshots that stand for all records up to their number.
 *
 *  1. `append` gives a record its number and puts it into the queue; nothing is written yet.
 *  2. One commit is under way at a time. When it ends, everything that has queued up meanwhile is the next one: many answers share a flush.
 *  3. A record's ticket resolves when the commit that holds it is on disk. An answer goes out only then: behind the start of the next commit, so
 *     that the disk works while answers are sent.
 *  4. A commit that fails keeps its records in the queue, tells those who wait that nothing is acknowledged, and is tried again by itself.
 *     Until it succeeds `failing` says why, and who would append is to be refused beforehand.
 *
 * Numbers have no gap: what is on disk is a prefix of what was appended, always.
 */
import { type Clock, err, type Fault, invariant, ok, type Result } from '../base/index.ts';
import { encodeEntry, encodeEntryText } from './entry-format.ts';
import { writeFault } from './faults.ts';
import { type JournalStore, recordKey, type StoreBatch, snapshotKey } from './store.ts';

/** Records in one commit: bounds memory and how long one flush takes. */
const GROUP_MAX = 512;
const RETRY_MS = 500;

export interface JournalOptions {
  readonly store: JournalStore;
  readonly clock: Clock;
  /** Number of the last record on disk. */
  readonly last: number;
  /** Of the snapshots on disk, ascending; 0 stands for the state before the first record. */
  readonly snapshots: readonly number[];
  /** Snapshots that are kept; records behind the oldest of them are, too. */
  readonly snapshotsKept: number;
  /** Records between two snapshots that are kept; one that comes sooner takes the place of the one before it. */
  readonly snapshotsApart?: number;
  readonly onFlush?: (flushMs: number, records: number) => void;
  /** Everything up to this record is on disk. Called before the tickets resolve. */
  readonly onDurable?: (number: number) => void;
}

interface Pending {
  readonly number: number;
  readonly value: Uint8Array;
  settle: ((result: Result<number>) => void) | undefined;
}

export class Journal {
  readonly #store: JournalStore;
  readonly #clock: Clock;
  readonly #options: JournalOptions;
  readonly #queue: Pending[] = [];
  /** On disk, and those who wait for it have not been told yet. */
  readonly #durable: Pending[] = [];
  #snapshots: readonly number[];
  #pendingSnapshot: { readonly number: number; readonly value: Uint8Array } | undefined;
  #appended: number;
  #flushed: number;
  #failing: Fault | undefined;
  #running: Promise<void> | undefined;
  #stopRetry: (() => void) | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#appended = options.last;
    this.#flushed = options.last;
    this.#snapshots = options.snapshots;
  }

  /** Why nothing can be made durable now; undefined: it can, as far as is known. */
  get failing(): Fault | undefined {
    return this.#failing;
  }

  /** Number of the last record that is on disk. */
  get flushed(): number {
    return this.#flushed;
  }

  get appended(): number {
    return this.#appended;
  }

  /** Number of the newest snapshot that is on disk; 0 when there is none. */
  get lastSnapshot(): number {
    return this.#snapshots.at(-1) ?? 0;
  }

  /**
   * Appends a record. The promise resolves with its number once it is on disk, or with the fault of the commit that failed: then the record is
   * still queued, and whether it will ever be on disk is not known.
   */
  append(value: unknown): Promise<Result<number>> {
    this.#appended += 1;
    const pending: Pending = { number: this.#appended, value: encodeEntry(value), settle: undefined };
    this.#queue.push(pending);
    const ticket = new Promise<Result<number>>((resolve) => {
      pending.settle = resolve;
    });
    this.#kick();
    return ticket;
  }

  /** Keeps `json` as the state after that record. It is written with the commit that holds the record, or a later one. */
  snapshot(json: string, number = this.#appended): void {
    this.#pendingSnapshot = { number, value: encodeEntryText(json) };
    this.#kick();
  }

  /** Resolves when nothing is queued, or when a commit failed. */
  async drain(): Promise<Result<void>> {
    while (this.#running !== undefined) await this.#running;
    return this.#failing === undefined ? ok(undefined) : err(this.#failing);
  }

  async close(): Promise<Result<void>> {
    const drained = await this.drain();
    this.#stopRetry?.();
    await this.#store.close();
    return drained;
  }

  #kick(): void {
    if (this.#running !== undefined || this.#failing !== undefined) return;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // Everybody whose turn comes in this tick of the event loop joins the first commit.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0 || this.#pendingSnapshot !== undefined) {
      const group = this.#queue.slice(0, GROUP_MAX);
      const committing = this.#commit(group, this.#dueSnapshot(group));
      // The store begins behind what this tick does; so what is told now is told behind that.
      if (this.#durable.length > 0) setImmediate(() => this.#tellDurable());
      if (!(await committing)) break;
    }
    this.#tellDurable();
    this.#running = undefined;
    if (this.#failing === undefined) return;
    this.#stopRetry = this.#clock.after(RETRY_MS, () => {
      this.#running = this.#run();
    });
  }

  /** The waiting snapshot, when the records up to it are on disk after this group. */
  #dueSnapshot(group: readonly Pending[]): { readonly number: number; readonly value: Uint8Array } | undefined {
    const last = group.at(-1)?.number ?? this.#flushed;
    return this.#pendingSnapshot !== undefined && this.#pendingSnapshot.number <= last
      ? this.#pendingSnapshot
      : undefined;
  }

  #keptWith(number: number): readonly number[] {
    const { snapshotsKept, snapshotsApart = 0 } = this.#options;
    const [before = 0, newest = 0] = this.#snapshots.slice(-2);
    const isReplaced = this.#snapshots.length > 1 && newest - before < snapshotsApart;
    return [...(isReplaced ? this.#snapshots.slice(0, -1) : this.#snapshots), number].slice(-snapshotsKept);
  }

  async #commit(
    group: readonly Pending[],
    snapshot: { readonly number: number; readonly value: Uint8Array } | undefined,
  ): Promise<boolean> {
    const kept = snapshot === undefined ? this.#snapshots : this.#keptWith(snapshot.number);
    const gone = this.#snapshots.filter((each) => each > 0 && !kept.includes(each));
    const startUs = this.#clock.monotonicUs();
    try {
      await this.#store.commit(batchOf(group, snapshot, { kept, gone }));
    } catch (error) {
      this.#fail(writeFault(error));
      return false;
    }
    this.#options.onFlush?.((this.#clock.monotonicUs() - startUs) / 1000, group.length);
    this.#failing = undefined;
    this.#snapshots = kept;
    if (snapshot !== undefined && this.#pendingSnapshot === snapshot) this.#pendingSnapshot = undefined;
    invariant(
      group.every(({ number }, i) => number === this.#flushed + i + 1),
      'journal records without a gap',
    );
    this.#flushed += group.length;
    this.#durable.push(...this.#queue.splice(0, group.length));
    return true;
  }

  #tellDurable(): void {
    const group = this.#durable.splice(0);
    const last = group.at(-1);
    if (last === undefined) return;
    this.#options.onDurable?.(last.number);
    for (const { number, settle } of group) settle?.(ok(number));
  }

  #fail(fault: Fault): void {
    this.#failing = fault;
    for (const pending of this.#queue) {
      pending.settle?.(err(fault));
      pending.settle = undefined;
    }
  }
}

function batchOf(
  group: readonly Pending[],
  snapshot: { readonly number: number; readonly value: Uint8Array } | undefined,
  { kept, gone }: { readonly kept: readonly number[]; readonly gone: readonly number[] },
): StoreBatch {
  const records = group.map(({ number, value }) => ({ key: recordKey(number), value }));
  if (snapshot === undefined) return { puts: records };
  return {
    puts: [...records, { key: snapshotKey(snapshot.number), value: snapshot.value }],
    removes: gone.map(snapshotKey),
    dropRecordsBelow: (kept[0] ?? snapshot.number) + 1,
  };
}
