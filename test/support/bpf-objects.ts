/** The objects of fixtures/bpf, and kernels as objects see them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type KernelImage, kernelBtf } from '../../src/image/index.ts';
import { type BpfObject, loadBpfObject, type ObjectKernel } from '../../src/jit/index.ts';

const FOLDER = new URL('../../fixtures/bpf/', import.meta.url);

export const OBJECT_NAMES = [
  'core',
  'externs',
  'global-functions',
  'globals',
  'kfunc',
  'ksyms',
  'linked',
  'locks',
  'maps',
  'sections',
  'subprograms',
  'tcp-states',
] as const;

export type ObjectName = (typeof OBJECT_NAMES)[number];

export const objectPath = (name: ObjectName): string => fileURLToPath(new URL(`${name}.o`, FOLDER));

/** A copy, so that a test may change it. */
export const objectBytes = (name: ObjectName): Uint8Array => new Uint8Array(readFileSync(objectPath(name)));

/** `cpus`: the objects were recorded on a machine with two. */
export const objectKernel = (image: KernelImage, cpus = 2): ObjectKernel => ({
  cpus,
  btf: kernelBtf(image),
  version: image.version,
  addressesOf: (name) => image.symbols.byName(name).map(({ address }) => address),
});

export function loadedObject(name: ObjectName, kernel: ObjectKernel, bytes = objectBytes(name)): BpfObject {
  const object = loadBpfObject({ bytes, name, kernel });
  if (!object.ok) throw new Error(`${name}: ${object.fault.detail}`);
  return object.value;
}
