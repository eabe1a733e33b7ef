import { ok, type Result } from '../../base/index.ts';
import type { KernelImage } from '../../image/index.ts';
import { type JournalIdentity, type JournalStore, openJournal, openJournalFolder } from '../../journal/index.ts';
import { coordinatorOf } from '../create-coordinator.ts';
import { faultyStore } from '../faults/index.ts';
import { Kernel, type KernelOptions } from '../kernel.ts';
import type { Coordinator } from '../service.ts';
import { DurableKernel, SNAPSHOT_EVERY } from './durable-kernel.ts';
import { recordedAnswers } from './kernel-entry.ts';
import { PastKernels } from './past-kernels.ts';
import { type Recovery, recover } from './recover.ts';

/** Snapshots that are kept, and with them the records behind the oldest: how far back one can look. */
export const SNAPSHOTS_KEPT = 16;

export interface DurableOptions extends KernelOptions {
  readonly store: JournalStore;
  readonly version: string;
  /** Records between two snapshots. */
  readonly snapshotEvery?: number;
  readonly onFlush?: (flushMs: number, records: number) => void;
}

export interface OpenedDurable {
  readonly coordinator: Coordinator;
  readonly recovery: Recovery;
}

const identityOf = (image: KernelImage, { strictness, variants, version }: DurableOptions): JournalIdentity => ({
  image: image.sha256,
  release: image.release,
  profile: image.profile.name,
  strictness: variants === true ? `${strictness} with variants` : strictness,
  madeBy: version,
});

/** Starts coordinating a kernel as its journal left it. Refused, and nothing changed, when the journal is damaged or of another kernel. */
export async function openDurable(options: DurableOptions): Promise<Result<OpenedDurable>> {
  const { clock, image, onFlush, faults } = options;
  const store = faults === undefined ? options.store : faultyStore(options.store, faults);
  let durable: DurableKernel | undefined;
  const opened = await openJournal({
    store,
    clock,
    identity: identityOf(image, options),
    snapshotsKept: SNAPSHOTS_KEPT,
    snapshotsApart: options.snapshotEvery ?? SNAPSHOT_EVERY,
    ...(onFlush === undefined ? {} : { onFlush }),
    onDurable: (number) => durable?.onDurable(number),
  });
  if (!opened.ok) return opened;
  const kernel = new Kernel(options);
  const recovery = await recover(kernel, opened.value.contents);
  if (!recovery.ok) return recovery;
  durable = new DurableKernel(kernel, opened.value.journal, {
    answers: recordedAnswers(opened.value.contents),
    replayMs: recovery.value.recoveryMs,
    past: new PastKernels(options, store, opened.value.journal),
    ...(options.snapshotEvery === undefined ? {} : { snapshotEvery: options.snapshotEvery }),
  });
  return ok({ coordinator: coordinatorOf(kernel, durable), recovery: recovery.value });
}

/** The same over a directory: its journal is this process's until the coordinator is closed. */
export async function openDurableFolder(
  options: Omit<DurableOptions, 'store'> & { readonly folder: string },
): Promise<Result<OpenedDurable>> {
  const folder = await openJournalFolder(options.folder);
  if (!folder.ok) return folder;
  const opened = await openDurable({ ...options, store: { ...folder.value.store, close: folder.value.close } });
  if (!opened.ok) await folder.value.close();
  return opened;
}
