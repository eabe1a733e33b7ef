import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import type { Key, RootDatabase } from 'lmdb';
import { lmdbFileDamage } from './lmdb-file.ts';
import type { JournalStore, StoreBatch, StoreKey } from './store.ts';

export const JOURNAL_FILE = 'journal.mdb';

/** The file would end the process if it were opened. */
export class DamagedFile extends Error {}

/** Address space that the map may take; the file grows only as far as it is used. */
const MAP_SIZE_BYTES = 64 * 2 ** 30;

const lmdbKey = (key: StoreKey): Key[] => (key.kind === 'meta' ? ['meta'] : [key.kind, key.number]);

/**
 * The journal in an LMDB file in `folder`. One batch is one transaction, and its promise resolves after fdatasync: `overlappingSync` would
 * answer before. Throws what LMDB says when the file cannot be opened or is no database.
 */
export async function openLmdbStore(
  folder: string,
  options: { readonly readOnly?: boolean } = {},
): Promise<JournalStore> {
  // Loaded only where there is something to keep: its binary costs time at the start.
  const { open } = await import('lmdb');
  const path = `${folder}/${JOURNAL_FILE}`;
  const damage = lmdbFileDamage(path);
  if (damage !== undefined) throw new DamagedFile(`${path} is damaged: ${damage}`);
  const db: RootDatabase<Uint8Array, Key> = open({
    path,
    noSubdir: true,
    encoding: 'binary',
    overlappingSync: false,
    // With it, lmdb keeps a promise of its own that nobody can catch, and a full disk would end the process.
    eventTurnBatching: false,
    mapSize: MAP_SIZE_BYTES,
    readOnly: options.readOnly === true,
  });
  return {
    commit: async (batch) => {
      try {
        await db.batch(() => write(db, batch));
      } catch (error) {
        throw await causeOf(error, folder);
      }
    },
    get: (key) => db.getBinary(lmdbKey(key)),
    *entries(kind) {
      for (const { key, value } of db.getRange({ start: [kind, 0], end: [kind, Number.MAX_SAFE_INTEGER] }))
        yield { number: Number((key as readonly Key[])[1]), value };
    },
    close: () => db.close(),
  };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Queues the writes of one transaction; what comes of it is told by the batch's promise alone. */
function write(db: RootDatabase<Uint8Array, Key>, batch: StoreBatch): void {
  for (const { key, value } of batch.puts) void db.put(lmdbKey(key), asBuffer(value));
  for (const key of batch.removes ?? []) void db.remove(lmdbKey(key));
  if (batch.dropRecordsBelow === undefined) return;
  const dropped = [...db.getKeys({ start: ['record', 0], end: ['record', batch.dropRecordsBelow] })];
  for (const key of dropped) void db.remove(key);
}

/** What the system said. LMDB tells of a write that came out short as EIO; when no block is free, that is what it was. */
async function causeOf(error: unknown, folder: string): Promise<Error> {
  const { commitError } = error as { readonly commitError?: Promise<unknown> };
  const cause = await Promise.resolve(commitError).then(
    () => error,
    (reason: unknown) => reason,
  );
  const code = statfsSync(folder).bavail === 0 ? 'ENOSPC' : (errnoName(cause) ?? 'EIO');
  return Object.assign(new Error(`the commit failed: ${(cause as Error).message}`), { code });
}

/** lmdb gives numbers. */
function errnoName(error: unknown): string | undefined {
  const { code } = error as { readonly code?: number | string };
  return typeof code === 'number' ? Object.entries(constants.errno).find(([, each]) => each === code)?.[0] : code;
}
