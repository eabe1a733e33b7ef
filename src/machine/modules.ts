import type { AddressSpace, Region } from '../cpu/index.ts';
import type { ModuleMemory } from './call-types.ts';

/** Modules come and go: their data does with them. */
export const mapModules = (space: AddressSpace, modules: readonly ModuleMemory[]): readonly Region[] =>
  modules.map(({ name, address, length, bytes, isWritable }) => {
    const initial = new Uint8Array(length);
    initial.set(bytes);
    return space.map({ name, start: address, length, permissions: isWritable ? 'rw-' : 'r--', initial });
  });
