import type { MapArea } from './area.ts';
import { MAP_TYPE_NUMBERS, type MapSpec } from './map-spec.ts';

/** struct bpf_map, which each map begins with (include/linux/bpf.h; 6.1 to 6.12 with CONFIG_SECURITY): where its numbers are. */
const FIELD = { map_type: 24, key_size: 28, value_size: 32, max_entries: 36, map_flags: 48, id: 52 } as const;

/** What programs read of a map that they have the address of. The fields that are not written read 0. */
export function writeBpfMap({ type, keySize, valueSize, maxEntries, flags }: MapSpec, id: number, area: MapArea): void {
  area.setU32(FIELD.map_type, MAP_TYPE_NUMBERS[type]);
  area.setU32(FIELD.key_size, keySize);
  area.setU32(FIELD.value_size, valueSize);
  area.setU32(FIELD.max_entries, maxEntries);
  area.setU32(FIELD.map_flags, flags);
  area.setU32(FIELD.id, id);
}
