import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type Clock, err, type Fault, invariant, ok, type Result } from '../base/index.ts';
import { cachePath, readCached, writeCached } from './cache.ts';
import type { BootProfile, KernelImage, ProgressListener } from './kernel-image.ts';
import { unsupported } from './malformed.ts';
import { buildInWorker } from './packed/build-in-worker.ts';
import { BUILD_STEPS } from './packed/image-format.ts';
import { openImage } from './packed/open-image.ts';

export interface LoadOptions {
  /** A path, or the bytes of a kernel file (which are handed over and must not be used afterwards). */
  readonly kernel: { readonly path: string } | { readonly bytes: Uint8Array };
  /** What the image is called: a path, or `"builtin"`. */
  readonly source: string;
  readonly profile: BootProfile;
  /** Folder below which packed images are kept; undefined: neither read nor written. */
  readonly cacheFolder: string | undefined;
  readonly onProgress: ProgressListener;
  readonly clock: Clock;
}

/** A vmlinux with debug information is about 500 MiB. */
const FILE_MAX = 640 << 20;

const READ_ERRNOS: Readonly<Record<string, Fault['errno']>> = {
  ENOENT: 'ENOENT',
  EACCES: 'EACCES',
  EPERM: 'EPERM',
  EISDIR: 'EINVAL',
};

function readKernelFile(path: string): Result<Uint8Array> {
  try {
    const stat = statSync(path);
    // A device or a pipe may never end.
    if (!stat.isFile()) return err(unsupported('not a regular file'));
    if (stat.size > FILE_MAX) return err(unsupported(`a file of ${stat.size} bytes, more than ${FILE_MAX}`));
    return ok(readFileSync(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    return err({ errno: READ_ERRNOS[code] ?? 'EIO', rule: 'image.unreadable', detail: `cannot be read: ${code}` });
  }
}

async function load(options: LoadOptions): Promise<Result<KernelImage>> {
  const startUs = options.clock.monotonicUs();
  const provenance = (fromCache: boolean) => () => ({
    source: options.source,
    loadMs: (options.clock.monotonicUs() - startUs) / 1000,
    fromCache,
  });
  options.onProgress({ step: 'read', done: 0, total: BUILD_STEPS.length });
  const file: Result<Uint8Array> =
    'path' in options.kernel ? readKernelFile(options.kernel.path) : ok(options.kernel.bytes);
  if (!file.ok) return file;
  const sha256 = createHash('sha256').update(file.value).digest('hex');
  const path = options.cacheFolder === undefined ? undefined : cachePath(options.cacheFolder, sha256, options.profile);
  const cached = path === undefined ? undefined : readCached(path);
  const known = cached === undefined ? undefined : openImage(cached, provenance(true));
  if (known !== undefined) return ok(known);
  const built = await buildInWorker({
    file: file.value,
    sha256,
    profile: options.profile,
    onProgress: options.onProgress,
  });
  if (!built.ok) return built;
  const image = openImage(built.value, provenance(false));
  invariant(image !== undefined, 'a packed image that cannot be opened');
  const problem = path === undefined ? undefined : await writeCached(path, built.value, options.clock.now());
  if (problem !== undefined)
    options.onProgress({ step: `not cached: ${problem}`, done: BUILD_STEPS.length, total: BUILD_STEPS.length });
  return ok(image);
}

/**
 * Loads a kernel: from the cache when it was loaded before with this profile, else by reading the file, decoding its tables and computing its
 * text after boot (in a thread of its own).
 *
 * Errors, each one line that begins with the source: `image.unreadable` (ENOENT, EACCES, EIO …), `image.malformed` and `image.unsupported` (EINVAL).
 */
export async function loadKernelImage(options: LoadOptions): Promise<Result<KernelImage>> {
  const image = await load(options);
  return image.ok ? image : err({ ...image.fault, detail: `${options.source}: ${image.fault.detail}` });
}
