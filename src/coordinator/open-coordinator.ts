import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { err, ok, type Result, systemClock, systemPrng } from '../base/index.ts';
import {
  type BootProfile,
  BUILT_IN_PROFILES,
  loadKernelImage,
  type ProgressListener,
  parseProfile,
} from '../image/index.ts';
import type { Strictness } from '../registry/index.ts';
import { createCoordinator } from './create-coordinator.ts';
import { openDurableFolder } from './durable/open-durable.ts';
import type { Recovery } from './durable/recover.ts';
import { type FaultBook, faultyClock } from './faults/index.ts';
import type { Quotas } from './kernel.ts';
import type { Coordinator } from './service.ts';

export interface OpenOptions {
  /** `"builtin"` or the path of a vmlinuz or vmlinux. */
  readonly image: string;
  /** Name of a built-in profile, or the path of a JSON file. */
  readonly profile: string;
  readonly strictness: Strictness;
  readonly variants?: boolean;
  readonly quotas?: Quotas;
  readonly cacheFolder?: string;
  /** Where the journal lies; undefined: nothing is kept. */
  readonly data?: { readonly folder: string; readonly version: string };
  /** Faults that are injected by name; undefined: none ever. */
  readonly faults?: FaultBook;
  readonly onRecovered?: (recovery: Recovery) => void;
  readonly onProgress: ProgressListener;
}

/** From src/ and from dist/ alike: the package's root is two folders up. */
const BUILTIN_PATH = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));

function openProfile(name: string): Result<BootProfile> {
  const builtIn = Object.hasOwn(BUILT_IN_PROFILES, name) ? BUILT_IN_PROFILES[name] : undefined;
  if (builtIn !== undefined) return ok(builtIn);
  let text: string;
  try {
    text = readFileSync(name, 'utf8');
  } catch {
    const names = Object.keys(BUILT_IN_PROFILES).join(', ');
    return err({
      errno: 'ENOENT',
      rule: 'profile.unknown',
      detail: `${name} is neither a built-in profile (${names}) nor a file that can be read.`,
    });
  }
  try {
    return parseProfile(JSON.parse(text));
  } catch (error) {
    return err({
      errno: 'EINVAL',
      rule: 'profile.invalid',
      detail: `${name} is not JSON: ${(error as Error).message}.`,
    });
  }
}

/** Loads a kernel and starts coordinating it. */
export async function openCoordinator(options: OpenOptions): Promise<Result<Coordinator>> {
  const profile = openProfile(options.profile);
  if (!profile.ok) return profile;
  const isBuiltin = options.image === 'builtin';
  const image = await loadKernelImage({
    kernel: { path: isBuiltin ? BUILTIN_PATH : options.image },
    source: options.image,
    profile: profile.value,
    cacheFolder: options.cacheFolder,
    onProgress: options.onProgress,
    clock: systemClock,
  });
  if (!image.ok) return image;
  const { faults } = options;
  const kernel = {
    image: image.value,
    strictness: options.strictness,
    variants: options.variants === true,
    clock: faults === undefined ? systemClock : faultyClock(systemClock, faults),
    prng: systemPrng,
    ...(faults === undefined ? {} : { faults }),
    ...(options.quotas === undefined ? {} : { quotas: options.quotas }),
  };
  if (options.data === undefined) return ok(createCoordinator(kernel));
  const opened = await openDurableFolder({ ...kernel, ...options.data });
  if (!opened.ok) return opened;
  options.onRecovered?.(opened.value.recovery);
  return ok(opened.value.coordinator);
}
