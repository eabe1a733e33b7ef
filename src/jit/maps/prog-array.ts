/** prog_array: addresses of programs, where compiled tail calls look for them. Source: kernel/bpf/arraymap.c (6.12). */
import type { Errno } from '../../base/index.ts';
import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import { roundUp } from './map-limits.ts';
import type { MapSpec } from './map-spec.ts';

/** Where compiled code finds things in a struct bpf_array and a struct bpf_prog. No code of the kernel's looks here: the places are ours. */
export const TAIL_CALL_LAYOUT = { maxEntries: 0x24, ptrs: 0x800, bpfFunc: 0x30 } as const;

export interface ProgArray {
  readonly size: number;
  /** Puts max_entries where compiled code compares with it. */
  init(area: MapArea): void;
  /** Address of struct bpf_prog; 0 for none. */
  get(area: MapArea, index: number): bigint;
  set(area: MapArea, index: number, prog: bigint, flags: bigint): Errno | undefined;
  delete(area: MapArea, index: number): Errno | undefined;
  indexes(area: MapArea): Generator<number>;
}

export function progArray({ maxEntries }: MapSpec): ProgArray {
  const { maxEntries: maxEntriesAt, ptrs } = TAIL_CALL_LAYOUT;
  const get = (area: MapArea, index: number): bigint => (index < maxEntries ? area.u64(ptrs + 8 * index) : 0n);
  return {
    size: roundUp(ptrs + 8 * maxEntries, MAP_PAGE_SIZE),
    init: (area) => area.setU32(maxEntriesAt, maxEntries),
    get,
    set(area, index, prog, flags) {
      if (flags !== 0n) return 'EINVAL';
      if (index >= maxEntries) return 'E2BIG';
      area.setU64(ptrs + 8 * index, prog);
      return undefined;
    },
    delete(area, index) {
      if (index >= maxEntries) return 'E2BIG';
      if (get(area, index) === 0n) return 'ENOENT';
      area.setU64(ptrs + 8 * index, 0n);
      return undefined;
    },
    *indexes(area) {
      for (let index = 0; index < maxEntries; index++) if (get(area, index) !== 0n) yield index;
    },
  };
}
