import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/index.ts';
import { DEFAULT_PROFILE, type KernelImage, loadKernelImage } from '../../src/image/index.ts';

const BUILTIN = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));

const loaded = new Map<string, Promise<KernelImage>>();

async function load(path: string, source: string): Promise<KernelImage> {
  const image = await loadKernelImage({
    kernel: { path },
    source,
    profile: DEFAULT_PROFILE,
    // A cache would outlive a change of the code under test.
    cacheFolder: undefined,
    onProgress: () => undefined,
    clock: systemClock,
  });
  if (!image.ok) throw new Error(`${path}: ${image.fault.detail}`);
  return image.value;
}

/** A kernel under the profile `max`, loaded once per process. */
export function kernelImage(path: string): Promise<KernelImage> {
  let image = loaded.get(path);
  if (image === undefined) {
    image = load(path, path === BUILTIN ? 'builtin' : path);
    loaded.set(path, image);
  }
  return image;
}

export const builtinImage = (): Promise<KernelImage> => kernelImage(BUILTIN);
