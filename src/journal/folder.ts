/** The directory that holds a journal: made when it is missing, used by one process at a time. */
import { createHash } from 'node:crypto';
import { mkdirSync, realpathSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { err, type Fault, ok, type Result } from '../base/index.ts';
import { corrupt } from './faults.ts';
import { DamagedFile, openLmdbStore } from './lmdb-store.ts';
import type { JournalStore } from './store.ts';

export interface JournalFolder {
  readonly store: JournalStore;
  /** Closes the store, then lets the next one in. */
  close(): Promise<void>;
}

const unusable = (folder: string, error: unknown): Fault => ({
  errno: 'EIO',
  rule: 'journal.unusable',
  detail: `${folder} cannot be used as a data directory: ${(error as Error).message}.`,
});

/**
 * Opens the store in `folder`. One process at a time: the lock is a listening socket, which the system takes away with its process, however
 * that ends. Faults: EBUSY `journal.in-use`, EIO `journal.corrupt`, EIO `journal.unusable`.
 */
export async function openJournalFolder(folder: string): Promise<Result<JournalFolder>> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const lock = await takeLock(lockPath(realpathSync(folder)));
    if (lock === undefined)
      return err({
        errno: 'EBUSY',
        rule: 'journal.in-use',
        detail: `Another service uses ${folder}.`,
        remedies: ['stop the other service', 'use another --data directory'],
      });
    const store = await openStore(folder, lock);
    const close = async (): Promise<void> => {
      await store.close();
      await new Promise<void>((resolve) => lock.close(() => resolve()));
    };
    return ok({ store, close });
  } catch (error) {
    return err(error instanceof DamagedFile ? corrupt(`${error.message}.`) : unusable(folder, error));
  }
}

async function openStore(folder: string, lock: Server): Promise<JournalStore> {
  try {
    return await openLmdbStore(folder);
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Paths of sockets are short; a long one is stood for by its hash. */
const SOCKET_PATH_MAX = 90;

function lockPath(folder: string): string {
  const path = join(folder, 'lock');
  if (path.length <= SOCKET_PATH_MAX) return path;
  return join(tmpdir(), `ktextd-${createHash('sha256').update(folder).digest('hex').slice(0, 24)}.lock`);
}

/** Undefined: somebody answers there. A socket file that nobody answers on was left by a process that is gone. */
async function takeLock(path: string): Promise<Server | undefined> {
  const first = await listenOn(path);
  if (first !== undefined) return first;
  if (await answers(path)) return undefined;
  rmSync(path, { force: true });
  return listenOn(path);
}

const listenOn = (path: string): Promise<Server | undefined> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => resolve(server));
  });

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
