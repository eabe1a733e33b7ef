import assert from 'node:assert/strict';
import { systemClock } from '../../src/base/index.ts';
import { DEFAULT_PROFILE, type KernelImage, loadKernelImage } from '../../src/image/index.ts';

/** Loads a kernel as it runs on the recording machine. */
export async function loadedKernel(path: string): Promise<KernelImage> {
  const image = await loadKernelImage({
    kernel: { path },
    source: path,
    profile: DEFAULT_PROFILE,
    cacheFolder: undefined,
    onProgress: () => {},
    clock: systemClock,
  });
  assert.ok(image.ok, image.ok ? '' : image.fault.detail);
  return image.value;
}
