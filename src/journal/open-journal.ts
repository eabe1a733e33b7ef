import { type Clock, err, type Fault, ok, type Result } from '../base/index.ts';
import { decodeEntry, encodeEntry, FORMAT_VERSION } from './entry-format.ts';
import { corrupt } from './faults.ts';
import { Journal } from './journal.ts';
import { type JournalStore, META } from './store.ts';
import { upgradeEntry } from './upgrade.ts';

/** What a journal belongs to. Text and owners of another kernel mean nothing here. */
export interface JournalIdentity {
  /** SHA-256 of the kernel's file. */
  readonly image: string;
  readonly release: string;
  readonly profile: string;
  readonly strictness: string;
  /** Version of the program that made the journal. */
  readonly madeBy: string;
}

export interface JournalRecord {
  readonly number: number;
  readonly value: unknown;
}

export interface JournalContents {
  readonly identity: JournalIdentity | undefined;
  /** Ascending, without a gap. The first is 1 or follows the oldest snapshot. */
  readonly records: readonly JournalRecord[];
  readonly snapshots: readonly JournalRecord[];
}

export interface JournalDamage {
  readonly where: string;
  readonly reason: string;
}

/** True while nothing has been dropped: the kernel before its first command counts as a snapshot, too. */
const beginsAtStart = ({ records, snapshots }: Pick<JournalContents, 'records' | 'snapshots'>): boolean =>
  records[0]?.number === 1 || (records.length === 0 && snapshots.length === 0);

/** Reads everything, and says all that is wrong with it. */
export function readJournal(store: JournalStore): {
  readonly contents: JournalContents;
  readonly damage: readonly JournalDamage[];
} {
  const damage: JournalDamage[] = [];
  const read = (where: string, bytes: Uint8Array): unknown => {
    const entry = decodeEntry(bytes);
    if (entry.kind === 'damaged') {
      damage.push({ where, reason: entry.reason });
      return undefined;
    }
    const upgraded = upgradeEntry(where.split(' ')[0] ?? '', entry.value, entry.version);
    if (upgraded.ok) return upgraded.value;
    damage.push({ where, reason: upgraded.reason });
    return undefined;
  };
  const all = (kind: 'record' | 'snapshot'): readonly JournalRecord[] =>
    [...store.entries(kind)].map(({ number, value }) => ({ number, value: read(`${kind} ${number}`, value) }));
  const meta = store.get(META);
  const identity = meta === undefined ? undefined : (read('meta', meta) as JournalIdentity | undefined);
  const [snapshots, records] = [all('snapshot'), all('record')];
  const base = beginsAtStart({ snapshots, records }) ? 0 : (snapshots[0]?.number ?? 0);
  for (const [i, { number }] of records.entries()) {
    const expected = base + 1 + i;
    if (number === expected) continue;
    damage.push({ where: `record ${expected}`, reason: `missing; the next one is ${number}` });
    break;
  }
  const last = records.at(-1)?.number ?? base;
  const newest = snapshots.at(-1)?.number ?? 0;
  if (newest > last)
    damage.push({ where: `snapshot ${newest}`, reason: `stands for more records than the ${last} that are there` });
  if (meta === undefined && (records.length > 0 || snapshots.length > 0))
    damage.push({ where: 'meta', reason: 'missing, although there are records' });
  return { contents: { identity, records, snapshots }, damage };
}

const FIELDS = ['image', 'profile', 'strictness'] as const;

function otherIdentity(found: JournalIdentity, wanted: JournalIdentity): Fault | undefined {
  const field = FIELDS.find((each) => found[each] !== wanted[each]);
  if (field === undefined) return undefined;
  const of = (identity: JournalIdentity): string =>
    `${identity.release}, profile ${identity.profile}, strictness ${identity.strictness}`;
  return {
    errno: 'EINVAL',
    rule: 'journal.other-kernel',
    detail: `The journal is of ${of(found)}, and this service runs ${of(wanted)}: their ${field} differs.`,
    remedies: ['start with the kernel, profile and strictness of the journal', 'use another --data directory'],
  };
}

export interface OpenedJournal {
  readonly journal: Journal;
  readonly contents: JournalContents;
}

/**
 * Opens the journal in a store, a new one when the store is empty. Refuses one that is damaged (EIO `journal.corrupt`) or of another kernel
 * (EINVAL `journal.other-kernel`); nothing is changed then.
 */
export async function openJournal(options: {
  readonly store: JournalStore;
  readonly identity: JournalIdentity;
  readonly clock: Clock;
  readonly snapshotsKept: number;
  readonly snapshotsApart?: number;
  readonly onFlush?: (flushMs: number, records: number) => void;
  readonly onDurable?: (number: number) => void;
}): Promise<Result<OpenedJournal>> {
  const { store, identity } = options;
  const { contents, damage } = readJournal(store);
  const [first] = damage;
  if (first !== undefined) {
    const more = damage.length > 1 ? ` (and ${damage.length - 1} more)` : '';
    return err(corrupt(`The journal is damaged at ${first.where}: ${first.reason}${more}.`));
  }
  if (contents.identity !== undefined) {
    const other = otherIdentity(contents.identity, identity);
    if (other !== undefined) return err(other);
  } else await store.commit({ puts: [{ key: META, value: encodeEntry(identity, FORMAT_VERSION) }] });
  const journal = new Journal({
    ...options,
    last: contents.records.at(-1)?.number ?? contents.snapshots.at(-1)?.number ?? 0,
    snapshots: [...(beginsAtStart(contents) ? [0] : []), ...contents.snapshots.map(({ number }) => number)],
  });
  return ok({ journal, contents });
}
