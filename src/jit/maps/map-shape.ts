import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import { ARRAY_VALUES, arrayMap } from './array-map.ts';
import { writeBpfMap } from './bpf-map.ts';
import { hashMap } from './hash-map.ts';
import type { KeyedMap } from './keyed-map.ts';
import type { MapSpec } from './map-spec.ts';
import { type ProgArray, progArray } from './prog-array.ts';
import { type PerfMap, perfMap, type RingMap, ringbufMap } from './ring-maps.ts';
import { type StackMap, stackMap } from './stack-map.ts';
import { copyValue } from './value-fields.ts';

/** What can be done with the memory of a map, by its type. */
export type MapShape =
  | { readonly kind: 'keyed'; readonly map: KeyedMap }
  | { readonly kind: 'ringbuf'; readonly map: RingMap }
  | { readonly kind: 'perf'; readonly map: PerfMap }
  | { readonly kind: 'stacks'; readonly map: StackMap }
  | { readonly kind: 'programs'; readonly map: ProgArray };

/** CPUs of the simulated machine: as many values has an element where each CPU has its own. */
export const MAP_CPUS = 4;

/** Pure: the same specification has the same shape everywhere. */
export function mapShape(spec: MapSpec): MapShape {
  switch (spec.type) {
    case 'array':
    case 'percpu_array':
      return { kind: 'keyed', map: arrayMap(spec, MAP_CPUS) };
    case 'hash':
    case 'percpu_hash':
    case 'lru_hash':
    case 'lru_percpu_hash':
      return { kind: 'keyed', map: hashMap(spec, MAP_CPUS) };
    case 'ringbuf':
      return { kind: 'ringbuf', map: ringbufMap(spec) };
    case 'perf_event_array':
      return { kind: 'perf', map: perfMap(spec, MAP_CPUS) };
    case 'stack_trace':
      return { kind: 'stacks', map: stackMap(spec) };
    case 'prog_array':
      return { kind: 'programs', map: progArray(spec) };
  }
}

/** Fills the memory of a map that is made: zeroes so far. `number` is its id. */
export function initMap(spec: MapSpec, area: MapArea, number: number): void {
  writeBpfMap(spec, number, area);
  const shape = mapShape(spec);
  if (shape.kind === 'programs') shape.map.init(area);
  if (spec.initial !== undefined) copyValue(area, ARRAY_VALUES, spec.initial, spec);
}

/** Where BPF_PSEUDO_MAP_VALUE points to, counted from the map: the first value of an array. */
export const MAP_VALUES_AT = ARRAY_VALUES;

/** Bytes of address space that a map takes: whole pages. */
export const mapSize = (spec: MapSpec): number => Math.ceil(mapShape(spec).map.size / MAP_PAGE_SIZE) * MAP_PAGE_SIZE;
