import { type Fault, inSlices, type Result, straight } from '../../base/index.ts';
import type { Journal } from '../../journal/index.ts';
import type { KernelJournal, RanCommand } from '../command.ts';
import type { Kernel } from '../kernel.ts';
import type { Caller, RecoveredAnswer, ServiceEvent } from '../service.ts';
import { entryOf } from './kernel-entry.ts';
import { takeSnapshot } from './kernel-snapshot.ts';
import type { PastKernels } from './past-kernels.ts';

/** Records between two snapshots: what a recovery runs again at most. */
export const SNAPSHOT_EVERY = 500;

/** Time that the commands since the last snapshot took: running them again, in a process that is still cold, takes a few times as long. */
const REPLAY_MS_MAX = 75;

/** A snapshot of much takes long itself: it waits until the commands took so many times as long. */
const SNAPSHOT_SHARE = 10;

/** A part of a snapshot; others are served in between. */
const SLICE_US = 2_000;

/** What was under way when the disk failed is no more than what clients have in flight. */
const LATE_MAX = 10_000;

/** Writes a kernel's commands to a journal, shows events when they are on disk, and takes snapshots on the way. */
export class DurableKernel implements KernelJournal {
  /** Of earlier runs. */
  readonly answers: readonly RecoveredAnswer[];
  readonly past: PastKernels;
  readonly #kernel: Kernel;
  readonly #journal: Journal;
  /** Newest event of each record that is not on disk yet, oldest first. */
  readonly #unpublished: { readonly number: number; readonly lastEvent: number }[] = [];
  /** By scope: answers of commands that ran, whose clients were told that the disk fails. */
  readonly #late = new Map<string, { readonly number: number; readonly hash: string; readonly value: unknown }>();
  readonly #snapshotEvery: number;
  #snapshotAt: number;
  /** How long the last one took. */
  #snapshotMs = 0;
  #isTaking = false;
  #isClosed = false;
  /** How long text_mutex was held since the last snapshot. */
  #heldMs: number;

  constructor(
    kernel: Kernel,
    journal: Journal,
    options: {
      readonly answers: readonly RecoveredAnswer[];
      readonly past: PastKernels;
      /** What recovery took. */
      readonly replayMs: number;
      readonly snapshotEvery?: number;
    },
  ) {
    this.answers = options.answers;
    this.past = options.past;
    this.#snapshotEvery = options.snapshotEvery ?? SNAPSHOT_EVERY;
    this.#kernel = kernel;
    this.#journal = journal;
    this.#snapshotAt = journal.lastSnapshot;
    this.#heldMs = options.replayMs;
    kernel.mutexListeners.add({
      onAcquired: () => undefined,
      onReleased: (holdMs) => {
        this.#heldMs += holdMs;
      },
    });
    kernel.useJournal(this);
  }

  get failing(): Fault | undefined {
    return this.#journal.failing;
  }

  write(ran: RanCommand<unknown>, caller: Caller, lastEvent: number): Promise<Result<number>> {
    const entry = entryOf(ran, caller);
    const ticket = this.#append(entry, lastEvent);
    const { appended: number } = this.#journal;
    const { answered } = entry;
    if (answered !== undefined)
      void ticket.then((written) => {
        if (!written.ok && this.#late.size < LATE_MAX) this.#late.set(answered.scope, { number, ...answered });
      });
    if (!this.#isTaking && this.#isSnapshotDue()) this.#takeSnapshot();
    return ticket;
  }

  lateAnswer({ scope, hash }: NonNullable<Caller['idempotency']>): { readonly value: unknown } | undefined {
    const late = this.#late.get(scope);
    if (late === undefined || late.hash !== hash || late.number > this.#journal.flushed) return undefined;
    this.#late.delete(scope);
    return late;
  }

  writeEvent(event: ServiceEvent): void {
    this.#append({ events: [event] }, event.sequence);
  }

  /**
   * Takes a snapshot, in slices, when the command that is under way has its commit: encoding goes on while the disk works and others are served.
   * Between two commands the kernel is what its records say, and what is not of that moment is not in the snapshot.
   */
  #takeSnapshot(): void {
    this.#isTaking = true;
    setImmediate(() => {
      const number = this.#journal.appended;
      this.#snapshotAt = number;
      this.#heldMs = 0;
      const { clock } = this.#kernel;
      let encodingUs = 0;
      const within = <T>(body: () => T): T => {
        const startUs = clock.monotonicUs();
        const value = body();
        encodingUs += clock.monotonicUs() - startUs;
        return value;
      };
      const steps = within(() => takeSnapshot(this.#kernel));
      const text = inSlices(steps, { clock, sliceUs: SLICE_US, within, onRest: () => undefined });
      void Promise.resolve(text).then((json) => {
        this.#isTaking = false;
        this.#snapshotMs = encodingUs / 1000;
        if (!this.#isClosed) this.#journal.snapshot(json, number);
      });
    });
  }

  #isSnapshotDue(): boolean {
    if (this.#journal.appended - this.#snapshotAt >= this.#snapshotEvery) return true;
    return this.#heldMs >= Math.max(REPLAY_MS_MAX, SNAPSHOT_SHARE * this.#snapshotMs);
  }

  /** Everything up to this record is on disk: its events may be seen. */
  onDurable(number: number): void {
    let last = 0;
    while (this.#unpublished[0] !== undefined && this.#unpublished[0].number <= number)
      last = this.#unpublished.shift()?.lastEvent ?? last;
    if (last > 0) this.#kernel.events.publish(last);
  }

  /** A last snapshot, so that the next start runs nothing again; then the journal is closed. Nothing may run any more. */
  async close(): Promise<Result<void>> {
    this.#isClosed = true;
    if (this.#journal.appended > this.#journal.lastSnapshot)
      this.#journal.snapshot(straight(takeSnapshot(this.#kernel)));
    return this.#journal.close();
  }

  #append(entry: unknown, lastEvent: number): Promise<Result<number>> {
    const ticket = this.#journal.append(entry);
    this.#unpublished.push({ number: this.#journal.appended, lastEvent });
    return ticket;
  }
}
