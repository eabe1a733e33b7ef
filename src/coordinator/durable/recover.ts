/**
 * A kernel as the journal says it was.
 *
 *  1. Put back the newest snapshot: owners, text, pokes.
 *  2. Restore the events of the records it stands for: readers may still ask for them.
 *  3. Run the commands behind it again. Each must lead to the events it led to.
 *  4. Audit: every byte must be what an owner accounts for.
 *
 * What goes wrong is returned, and the service does not start: it must not go on from a state that nobody acknowledged.
 */
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { corrupt, type JournalContents } from '../../journal/index.ts';
import type { TextMutexHeld } from '../../textpoke/index.ts';
import { audit } from '../audit.ts';
import type { Kernel } from '../kernel.ts';
import { type KernelEntry, ReplayMismatch, replayEntry } from './kernel-entry.ts';
import { type KernelSnapshot, restoreSnapshot } from './kernel-snapshot.ts';

export interface Recovery {
  readonly snapshot: number;
  readonly replayed: number;
  readonly attachments: number;
  readonly recoveryMs: number;
}

/** `through`: go only so far, for a look at the past. */
export async function recover(
  kernel: Kernel,
  contents: JournalContents,
  through = Number.MAX_SAFE_INTEGER,
): Promise<Result<Recovery>> {
  const startUs = kernel.clock.monotonicUs();
  const who = { client: 'service', what: 'recover' };
  const turn = await kernel.mutex.run(who, (held) => rebuild(kernel, held, contents, through));
  if (!turn.ok) return turn;
  if (!turn.value.ok) return turn.value;
  const { orphans } = audit(kernel);
  const [orphan] = orphans;
  if (orphan !== undefined)
    return err(
      corrupt(
        `After recovery ${orphan.address} holds ${orphan.actual}, which no owner accounts for (it should be ${orphan.expected}).`,
      ),
    );
  const recoveryMs = (kernel.clock.monotonicUs() - startUs) / 1000;
  return ok({ ...turn.value.value, attachments: kernel.state.attachments.size, recoveryMs });
}

function rebuild(
  kernel: Kernel,
  held: TextMutexHeld,
  { records, snapshots }: JournalContents,
  through: number,
): Result<{ readonly snapshot: number; readonly replayed: number }> {
  const snapshot = snapshots.findLast(({ number }) => number <= through);
  const from = snapshot?.number ?? 0;
  const covered = records.filter(({ number }) => number <= from).flatMap(({ value }) => (value as KernelEntry).events);
  if (snapshot !== undefined) {
    const value = snapshot.value as KernelSnapshot;
    restoreSnapshot(kernel, held, value);
    kernel.events.restore(covered, value.lastEvent);
  }
  let replayed = 0;
  for (const { number, value } of records) {
    if (number <= from || number > through) continue;
    const fault = replayOne(kernel, held, number, value as KernelEntry);
    if (fault !== undefined) return err(fault);
    replayed += 1;
  }
  return ok({ snapshot: from, replayed });
}

function replayOne(kernel: Kernel, held: TextMutexHeld, number: number, entry: KernelEntry): Fault | undefined {
  try {
    replayEntry(kernel, held, entry);
    return undefined;
  } catch (error) {
    if (!(error instanceof ReplayMismatch)) throw error;
    return corrupt(
      `Record ${number} cannot be run again: ${error.message}. The journal may be of another version of this program: stop that version cleanly, which leaves a snapshot behind all records, and start this one.`,
    );
  }
}
