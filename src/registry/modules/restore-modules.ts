import { invariant } from '../../base/index.ts';
import { loadModuleImage, withoutInit } from '../../image/index.ts';
import type { LoadedModule } from '../model/loaded-module.ts';
import { type World, worldOf } from '../world.ts';

/** A loaded module without what follows from its file and its places. */
export type ModuleRecord = Omit<LoadedModule, 'image'>;

export const moduleRecord = ({ image, ...record }: LoadedModule): ModuleRecord => record;

function restoreOne(world: World, record: ModuleRecord): LoadedModule {
  const { file, places, perCpu } = record.origin;
  const left = [...places];
  const allocate = (): number => {
    const at = left.shift();
    invariant(at !== undefined, () => `${record.name} takes no more memory than it took`);
    return at;
  };
  const loaded = loadModuleImage({ file, image: world.image, placement: { allocate, perCpu } });
  invariant(loaded.ok, () => `${record.name} can be laid out again`);
  return { ...record, image: record.state === 'coming' ? loaded.value : withoutInit(loaded.value) };
}

/** Modules as they were, newest first like the list of loaded ones: each is laid out again over the kernel and those that are older. */
export function restoreModules(world: World, records: readonly ModuleRecord[]): readonly LoadedModule[] {
  let modules: readonly LoadedModule[] = [];
  for (const record of [...records].reverse()) modules = [restoreOne(worldOf(world, modules), record), ...modules];
  return modules;
}
