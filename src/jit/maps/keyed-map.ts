import type { Errno } from '../../base/index.ts';
import type { MapArea } from './area.ts';

/** What is written: by a program, for the CPU that it runs on; by the system call, for every CPU. Where CPUs share values there is one. */
export type MapValue =
  | { readonly from: 'program'; readonly cpu: number; readonly bytes: Uint8Array }
  | { readonly from: 'syscall'; readonly bytes: readonly Uint8Array[] };

export interface MapElement {
  readonly key: Uint8Array;
  /** Offset of the key, where elements have theirs in memory. */
  readonly keyAt?: number;
  /** Offset of the value, of CPU 0 where each has one. */
  readonly at: number;
}

/** A map with keys, over the memory that is all of it. Answers an errno where Linux does, undefined where it answers 0. */
export interface KeyedMap {
  /** Offset of the value of that CPU; a program's look at an element of an LRU map is remembered. */
  lookup(
    area: MapArea,
    key: Uint8Array,
    from: { readonly cpu: number; readonly isProgram: boolean },
  ): number | undefined;
  update(area: MapArea, key: Uint8Array, value: MapValue, flags: bigint): Errno | undefined;
  delete(area: MapArea, key: Uint8Array): Errno | undefined;
  /** In the order of BPF_MAP_GET_NEXT_KEY; the element that was answered last may be deleted. */
  elements(area: MapArea): Generator<MapElement>;
  /** Bytes between the values of two CPUs of an element; 0 where they share one. */
  readonly cpuStride: number;
  /** Bytes of the whole. */
  readonly size: number;
}
