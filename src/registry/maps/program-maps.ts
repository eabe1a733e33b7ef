import { err, ok, type Result } from '../../base/index.ts';
import { MAP_FLAGS, MAP_VALUES_AT, mapShape, PagedArea } from '../../jit/index.ts';
import type { AttachIdentity } from '../model/request.ts';
import type { KernelState } from '../model/state.ts';
import { mapUnknown } from './decide.ts';
import type { BpfMap, ProgramMap } from './state.ts';

/** The maps that a program is loaded with; maps are shared by a tenant and invisible to others. */
export function programMaps(
  state: Pick<KernelState, 'maps'>,
  ids: readonly string[],
  { tenant }: AttachIdentity,
): Result<readonly ProgramMap[]> {
  const found: ProgramMap[] = [];
  for (const id of ids) {
    const map = state.maps.get(id);
    if (map === undefined || map.tenant !== tenant) return err(mapUnknown(id));
    found.push({ id, address: map.address, spec: map.spec });
  }
  return ok(found);
}

/** The maps when a program is gone: no prog_array has it any more. In Linux it would live on as long as one has. */
export function withoutProgram(maps: KernelState['maps'], prog: bigint): KernelState['maps'] {
  return maps.map((map) => {
    const shape = mapShape(map.spec);
    if (shape.kind !== 'programs') return map;
    const area = new PagedArea(map.pages);
    for (const index of shape.map.indexes(area)) if (shape.map.get(area, index) === prog) shape.map.delete(area, index);
    return area.written.size === 0 ? map : { ...map, pages: map.pages.merge(area.written) };
  });
}

/** What a map holds that nobody can write any more, neither programs nor the system call: constants, as a verifier may take them. */
export function frozenContents({ spec, pages }: BpfMap): Uint8Array | undefined {
  const isConstant = spec.isFrozen === true && (spec.flags & MAP_FLAGS.BPF_F_RDONLY_PROG) !== 0;
  const isValue = spec.type === 'array' && spec.maxEntries === 1;
  return isConstant && isValue ? new PagedArea(pages).read(MAP_VALUES_AT, spec.valueSize) : undefined;
}
