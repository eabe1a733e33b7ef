import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BootProfile } from './kernel-image.ts';
import { FORMAT_VERSION } from './packed/image-format.ts';

/** A packed image is about 32 MB; this many are kept, the most recently written ones. */
const FILES_KEPT = 8;
const FILE_MAX = 512 << 20;
/** A temporary file this old was left by a process that died. */
const ABANDONED_MS = 3_600_000;

/** `$XDG_CACHE_HOME/ktextd`, else `~/.cache/ktextd` (XDG base directory specification: a relative path is not to be used). */
export function defaultCacheFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = environment['XDG_CACHE_HOME'];
  return join(home?.startsWith('/') ? home : join(homedir(), '.cache'), 'ktextd');
}

/** JSON with sorted keys: equal profiles have equal text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join()}}`;
}

/** Code that decides what an image contains: this room, and the instruction rules it patches by. */
const LOADER_ROOMS = ['./', '../insn/'] as const;

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return /(?<!\.test|\.d)\.[jt]s$/.test(entry.name) ? [path] : [];
  });
}

let digestOfLoader: string | undefined;

/**
 * Of the loader's own code, so that an image computed by another version of it is never taken from the cache, without anybody having to count
 * versions. Some 100 small files, a few milliseconds, once.
 */
function loaderDigest(): string {
  if (digestOfLoader === undefined) {
    const hash = createHash('sha256').update(String(FORMAT_VERSION));
    for (const room of LOADER_ROOMS) {
      for (const path of sourceFiles(fileURLToPath(new URL(room, import.meta.url))).sort())
        hash.update(readFileSync(path));
    }
    digestOfLoader = hash.digest('hex');
  }
  return digestOfLoader;
}

/** Where the packed image of a kernel file under a profile is kept: named after all that decides its content. */
export function cachePath(folder: string, sha256: string, profile: BootProfile): string {
  const digest = createHash('sha256')
    .update(`${loaderDigest()} ${canonical(profile)}`)
    .digest('hex')
    .slice(0, 16);
  return join(folder, 'images', `${sha256}-${digest}.bin`);
}

/** The file's bytes, undefined when it cannot be had for whatever reason: a cache that does not answer is a cache miss. */
export function readCached(path: string): Uint8Array | undefined {
  try {
    const { size } = statSync(path);
    if (size > FILE_MAX) return undefined;
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

async function prune(folder: string, now: number): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.bin') || name.endsWith('.tmp'));
  const files = await Promise.all(
    names.map(async (name) => ({
      path: join(folder, name),
      isTemporary: name.endsWith('.tmp'),
      at: (await stat(join(folder, name))).mtimeMs,
    })),
  );
  const old = files
    .filter((file) => !file.isTemporary)
    .sort((a, b) => b.at - a.at)
    .slice(FILES_KEPT);
  const abandoned = files.filter((file) => file.isTemporary && now - file.at > ABANDONED_MS);
  for (const file of [...old, ...abandoned]) await rm(file.path, { force: true });
}

let written = 0;

/**
 * Writes a file into the cache: a temporary file of this process, then a rename, so that readers see the whole file or none and the last of
 * several writers wins. Returns the reason when it could not be written.
 */
export async function writeCached(path: string, bytes: Uint8Array, now: number): Promise<string | undefined> {
  const folder = join(path, '..');
  const temporary = `${path}.${process.pid}-${++written}.tmp`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = await open(temporary, 'w', 0o600);
    try {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await prune(folder, now);
    return undefined;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    return error instanceof Error ? error.message : String(error);
  }
}
