/** Kernels as they were: made from the journal when somebody asks, a few of them kept. */
import { err, ok, type Result } from '../../base/index.ts';
import { type Journal, type JournalContents, type JournalStore, readJournal } from '../../journal/index.ts';
import { refuse } from '../../registry/index.ts';
import { Kernel, type KernelOptions } from '../kernel.ts';
import { HISTORY_COMPACTED, HISTORY_NOT_YET } from '../rules.ts';
import type { KernelEntry } from './kernel-entry.ts';
import type { KernelSnapshot } from './kernel-snapshot.ts';
import { recover } from './recover.ts';

/** Each is a copy of the text's changed pages and the owners' state. */
const KEPT = 4;

export class PastKernels {
  readonly #options: KernelOptions;
  readonly #store: JournalStore;
  readonly #journal: Journal;
  /** By the number of the last record they have run, the one asked for last at the end. */
  readonly #kernels = new Map<number, Promise<Result<Kernel>>>();
  #contents: { readonly flushed: number; readonly contents: JournalContents } | undefined;

  constructor(options: KernelOptions, store: JournalStore, journal: Journal) {
    this.#options = options;
    this.#store = store;
    this.#journal = journal;
  }

  /**
   * The kernel right after the change whose events include this number. Faults: EINVAL `history.compacted` when that is no longer kept,
   * EINVAL `history.not-yet` when there is no such event on disk.
   */
  at(sequence: number): Promise<Result<Kernel>> {
    const contents = this.#read();
    const last = lastEventOf(contents);
    if (sequence > last)
      return Promise.resolve(
        err(refuse(HISTORY_NOT_YET, { detail: `Event ${sequence} is not there yet; the last is ${last}.` })),
      );
    const through = recordOf(contents, sequence);
    if (through === undefined)
      return Promise.resolve(
        err(refuse(HISTORY_COMPACTED, { detail: `What was before event ${firstKnown(contents)} is no longer kept.` })),
      );
    return this.#kernel(contents, through);
  }

  #kernel(contents: JournalContents, through: number): Promise<Result<Kernel>> {
    const kernel = this.#kernels.get(through) ?? this.#make(contents, through);
    this.#kernels.delete(through);
    this.#kernels.set(through, kernel);
    const [oldest] = this.#kernels.keys();
    if (this.#kernels.size > KEPT && oldest !== undefined) this.#kernels.delete(oldest);
    return kernel;
  }

  async #make(contents: JournalContents, through: number): Promise<Result<Kernel>> {
    const kernel = new Kernel(this.#options);
    const recovered = await recover(kernel, contents, through);
    return recovered.ok ? ok(kernel) : recovered;
  }

  #read(): JournalContents {
    const { flushed } = this.#journal;
    if (this.#contents?.flushed !== flushed) this.#contents = { flushed, contents: readJournal(this.#store).contents };
    return this.#contents.contents;
  }
}

const eventsOf = (value: unknown): KernelEntry['events'] => (value as KernelEntry).events;

/** Number of the newest event that the journal knows. */
function lastEventOf({ records, snapshots }: JournalContents): number {
  const inRecords = records.findLast(({ value }) => eventsOf(value).length > 0);
  const event = inRecords === undefined ? undefined : eventsOf(inRecords.value).at(-1)?.sequence;
  return event ?? (snapshots.at(-1)?.value as KernelSnapshot | undefined)?.lastEvent ?? 0;
}

/** Event before which nothing is known. */
function firstKnown({ records, snapshots }: JournalContents): number {
  if (records[0]?.number === 1 || (records.length === 0 && snapshots.length === 0)) return 0;
  return (snapshots[0]?.value as KernelSnapshot | undefined)?.lastEvent ?? 0;
}

/** Number of the record whose change is the last one at this event; 0 is the kernel as it booted. */
function recordOf(contents: JournalContents, sequence: number): number | undefined {
  const known = firstKnown(contents);
  if (sequence < known) return undefined;
  const record = contents.records.findLast(({ value }) => {
    const first = eventsOf(value)[0]?.sequence;
    return first !== undefined && first <= sequence;
  });
  return record?.number ?? contents.snapshots[0]?.number ?? 0;
}
