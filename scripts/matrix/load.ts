import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/index.ts';
import {
  DEFAULT_PROFILE,
  dataRequest,
  type KernelImage,
  loadKernelImage,
  readImageData,
} from '../../src/image/index.ts';
import { Machine, machineImage } from '../../src/machine/index.ts';

const BUILTIN = fileURLToPath(new URL('../../fixtures/builtin/vmlinux', import.meta.url));

const pathOf = (name: string): string => (name === 'builtin' ? BUILTIN : name);

/** A kernel by path, or the built-in one. */
export async function load(name: string): Promise<KernelImage> {
  const image = await loadKernelImage({
    kernel: { path: pathOf(name) },
    source: name,
    profile: DEFAULT_PROFILE,
    cacheFolder: undefined,
    onProgress: () => undefined,
    clock: systemClock,
  });
  if (!image.ok) throw new Error(`${name}: ${image.fault.detail}`);
  return image.value;
}

/** What calls run on. */
export async function makeMachine(image: KernelImage, name: string): Promise<Machine> {
  const data = await readImageData(dataRequest(image, pathOf(name)));
  if (!data.ok) throw new Error(`${name}: ${data.fault.detail}`);
  return new Machine(machineImage(image, data.value), systemClock);
}
