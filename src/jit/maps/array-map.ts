/** array and percpu_array: one value behind the other, which are all there from the beginning. Source: kernel/bpf/arraymap.c (6.12). */
import type { Errno } from '../../base/index.ts';
import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import type { KeyedMap, MapElement, MapValue } from './keyed-map.ts';
import { isPerCpu, roundUp } from './map-limits.ts';
import { BPF_EXIST, BPF_F_LOCK, BPF_NOEXIST, type MapSpec } from './map-spec.ts';
import { copyValue, updateFlags } from './value-fields.ts';

/** The first page is the map itself: what programs get as its address. */
export const ARRAY_VALUES = MAP_PAGE_SIZE;

const indexOf = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true);

function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index, true);
  return key;
}

export function arrayMap(spec: MapSpec, cpus: number): KeyedMap {
  const { maxEntries, valueSize } = spec;
  const elementSize = roundUp(valueSize, 8);
  const perCpu = isPerCpu(spec.type);
  const cpuStride = perCpu ? elementSize * maxEntries : 0;
  const at = (index: number): number => ARRAY_VALUES + index * elementSize;

  function write(area: MapArea, index: number, value: MapValue): void {
    if (value.from === 'program') copyValue(area, at(index) + (perCpu ? value.cpu * cpuStride : 0), value.bytes, spec);
    else for (const [cpu, bytes] of value.bytes.entries()) copyValue(area, at(index) + cpu * cpuStride, bytes, spec);
  }

  return {
    cpuStride,
    size: roundUp(ARRAY_VALUES + elementSize * maxEntries * (perCpu ? cpus : 1), MAP_PAGE_SIZE),
    lookup(_, key, { cpu }) {
      const index = indexOf(key);
      return index < maxEntries ? at(index) + cpu * cpuStride : undefined;
    },
    update(area, key, value, flags): Errno | undefined {
      const index = indexOf(key);
      if ((flags & ~BigInt(BPF_F_LOCK)) > BigInt(BPF_EXIST)) return 'EINVAL';
      if (index >= maxEntries) return 'E2BIG';
      if ((flags & BigInt(BPF_NOEXIST)) !== 0n) return 'EEXIST';
      if (updateFlags(flags, spec) === undefined) return 'EINVAL';
      write(area, index, value);
      return undefined;
    },
    delete: () => 'EINVAL',
    *elements(): Generator<MapElement> {
      for (let index = 0; index < maxEntries; index++) yield { key: keyOf(index), at: at(index) };
    },
  };
}
