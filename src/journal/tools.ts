/**
 * What `ktextd journal` does with a journal that no service uses: check it, cut it where it is damaged, write it out as text and read that back.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { err, type Fault, invariant, ok, type Result } from '../base/index.ts';
import { decodeEntry, encodeEntry } from './entry-format.ts';
import { corrupt } from './faults.ts';
import { openJournalFolder } from './folder.ts';
import { JOURNAL_FILE } from './lmdb-store.ts';
import { type JournalDamage, type JournalIdentity, readJournal } from './open-journal.ts';
import { type JournalStore, META, recordKey, type StoreKey, snapshotKey } from './store.ts';

export interface JournalReport {
  readonly identity: JournalIdentity | undefined;
  readonly records: { readonly first: number; readonly last: number } | undefined;
  readonly snapshots: readonly number[];
  readonly damage: readonly JournalDamage[];
}

const missing = (folder: string): Fault => ({
  errno: 'EIO',
  rule: 'journal.unusable',
  detail: `${folder} has no ${JOURNAL_FILE}.`,
});

async function withStore<T>(
  folder: string,
  body: (store: JournalStore) => Promise<Result<T>>,
  isNew = false,
): Promise<Result<T>> {
  if (!isNew && !existsSync(join(folder, JOURNAL_FILE))) return err(missing(folder));
  const opened = await openJournalFolder(folder);
  if (!opened.ok) return opened;
  try {
    return await body(opened.value.store);
  } finally {
    await opened.value.close();
  }
}

function reportOf(store: JournalStore): JournalReport {
  const { contents, damage } = readJournal(store);
  const [first, last] = [contents.records[0]?.number, contents.records.at(-1)?.number];
  return {
    identity: contents.identity,
    records: first === undefined || last === undefined ? undefined : { first, last },
    snapshots: contents.snapshots.map(({ number }) => number),
    damage,
  };
}

/** All that is wrong; nothing is changed. EIO `journal.corrupt` when the file itself is damaged, so that its entries cannot be read. */
export const checkJournal = (folder: string): Promise<Result<JournalReport>> =>
  withStore(folder, async (store) => ok(reportOf(store)));

export interface JournalRepair {
  /** Where the journal as it was is kept; undefined when there was nothing to do. */
  readonly copy: string | undefined;
  /** What is no longer there: everything from the first damaged record on, and damaged snapshots. */
  readonly dropped: readonly string[];
  readonly report: JournalReport;
}

/**
 * Cuts the journal at its first damaged record, and takes out snapshots that are damaged or stand for records that are gone. Refused with EIO
 * `journal.corrupt` when what is left would have no beginning: then only an export helps.
 */
export function repairJournal(folder: string): Promise<Result<JournalRepair>> {
  return withStore<JournalRepair>(folder, async (store) => {
    const before = reportOf(store);
    if (before.damage.length === 0) return ok({ copy: undefined, dropped: [], report: before });
    if (before.damage.some(({ where }) => where === 'meta'))
      return err(corrupt('The entry that says whose journal this is is damaged: nothing can be saved here.'));
    const { keys, cutAt } = damagedKeys(store);
    const base = firstSound(store, keys, cutAt);
    if (base === undefined)
      return err(corrupt(`The first record is damaged, and no snapshot before record ${cutAt} is whole.`));
    const copy = copyOf(folder);
    copyFileSync(join(folder, JOURNAL_FILE), copy);
    await store.commit({ puts: [], removes: keys, dropRecordsBelow: base + 1 });
    return ok({ copy, dropped: keys.map(nameOf), report: reportOf(store) });
  });
}

const nameOf = (key: StoreKey): string => (key.kind === 'meta' ? 'meta' : `${key.kind} ${key.number}`);

const isSound = (value: Uint8Array): boolean => decodeEntry(value).kind === 'entry';

/** What has to go: records from the first that is damaged or behind a gap, snapshots that are damaged or lie behind the cut. */
function damagedKeys(store: JournalStore): { readonly keys: readonly StoreKey[]; readonly cutAt: number } {
  const records = [...store.entries('record')];
  const first = records[0]?.number ?? 1;
  const cut = records.findIndex(({ number, value }, i) => number !== first + i || !isSound(value));
  const cutAt = cut < 0 ? first + records.length : first + cut;
  const gone = cut < 0 ? [] : records.slice(cut);
  const snapshots = [...store.entries('snapshot')].filter(({ number, value }) => number >= cutAt || !isSound(value));
  return {
    keys: [...gone.map(({ number }) => recordKey(number)), ...snapshots.map(({ number }) => snapshotKey(number))],
    cutAt,
  };
}

/** Where what is left begins: 0, or the number of the oldest snapshot that stays and has its records behind it. */
function firstSound(store: JournalStore, gone: readonly StoreKey[], cutAt: number): number | undefined {
  const [first] = store.entries('record');
  if (first?.number === 1 && cutAt > 1) return 0;
  const lost = new Set(gone.map(nameOf));
  const [snapshot] = [...store.entries('snapshot')].filter(({ number }) => !lost.has(nameOf(snapshotKey(number))));
  return snapshot?.number;
}

function copyOf(folder: string): string {
  for (let n = 1; ; n++) {
    const path = join(folder, `${JOURNAL_FILE}.damaged-${n}`);
    if (!existsSync(path)) return path;
  }
}

/** One line of an export. */
type ExportLine =
  | { readonly kind: 'meta'; readonly value: unknown }
  | { readonly kind: 'record' | 'snapshot'; readonly number: number; readonly value: unknown };

/** The whole journal as lines of JSON, `meta` first. Refused when it is damaged. */
export function exportJournal(folder: string, write: (line: string) => void): Promise<Result<number>> {
  return withStore(folder, async (store) => {
    const { contents, damage } = readJournal(store);
    const [first] = damage;
    if (first !== undefined) return err(corrupt(`The journal is damaged at ${first.where}: ${first.reason}.`));
    let lines = 0;
    const put = (line: ExportLine): void => {
      write(`${JSON.stringify(line)}\n`);
      lines += 1;
    };
    put({ kind: 'meta', value: contents.identity });
    for (const { number, value } of contents.snapshots) put({ kind: 'snapshot', number, value });
    for (const { number, value } of contents.records) put({ kind: 'record', number, value });
    return ok(lines);
  });
}

const invalid = (line: number, reason: string): Fault => ({
  errno: 'EINVAL',
  rule: 'journal.corrupt',
  detail: `Line ${line} of the export ${reason}; nothing was imported.`,
});

function parseLine(text: string, line: number): Result<ExportLine> {
  try {
    const parsed = JSON.parse(text) as ExportLine;
    if (parsed.kind === 'meta') return line === 1 ? ok(parsed) : err(invalid(line, 'is a second beginning'));
    const isEntry = parsed.kind === 'record' || parsed.kind === 'snapshot';
    if (line > 1 && isEntry && Number.isSafeInteger(parsed.number) && parsed.number > 0) return ok(parsed);
    return err(invalid(line, line === 1 ? 'is not `meta`' : 'is neither a record nor a snapshot'));
  } catch (error) {
    return err(invalid(line, `is not JSON: ${(error as Error).message}`));
  }
}

/** Makes the journal of an export in a directory that has none. All or nothing. */
export function importJournal(folder: string, text: string): Promise<Result<JournalReport>> {
  const puts: { readonly key: StoreKey; readonly value: Uint8Array }[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const parsed = parseLine(line, i + 1);
    if (!parsed.ok) return Promise.resolve(parsed);
    const entry = parsed.value;
    const key: StoreKey = entry.kind === 'meta' ? META : { kind: entry.kind, number: entry.number };
    puts.push({ key, value: encodeEntry(entry.value) });
  }
  if (puts.length === 0) return Promise.resolve(err(invalid(1, 'is missing')));
  if (existsSync(join(folder, JOURNAL_FILE)))
    return Promise.resolve(
      err({
        errno: 'EIO',
        rule: 'journal.unusable',
        detail: `${folder} has a journal already; import into a new directory.`,
      }),
    );
  return withStore(
    folder,
    async (store) => {
      await store.commit({ puts });
      const report = reportOf(store);
      invariant(report.identity !== undefined, 'an import begins with meta');
      return ok(report);
    },
    true,
  );
}
