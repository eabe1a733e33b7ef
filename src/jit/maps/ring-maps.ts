/** ringbuf, and perf_event_array with a ring for each CPU that somebody reads. */
import type { Errno } from '../../base/index.ts';
import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import type { MapSpec } from './map-spec.ts';
import { Ring } from './ring.ts';

const CONSUMER = MAP_PAGE_SIZE;
const PRODUCER = 2 * MAP_PAGE_SIZE;
const DATA = 3 * MAP_PAGE_SIZE;

export interface RingMap {
  /** One; or one for each CPU. */
  readonly rings: readonly Ring[];
  readonly size: number;
}

export const ringbufMap = ({ maxEntries }: MapSpec): RingMap => ({
  rings: [new Ring({ consumerAt: CONSUMER, producerAt: PRODUCER, dataAt: DATA, size: maxEntries })],
  size: DATA + 2 * maxEntries,
});

/** Bytes of one CPU's perf buffer: what libbpf's perf_buffer__new takes for 16 pages. */
const PERF_RING_SIZE = 16 * MAP_PAGE_SIZE;
const PERF_STRIDE = DATA + 2 * PERF_RING_SIZE;
/** Words of the first page, by CPU: whether an event is open, and how many records were lost. */
const OPEN = 0x800;
const LOST = 0x900;

export interface PerfMap extends RingMap {
  isOpen(area: MapArea, cpu: number): boolean;
  setOpen(area: MapArea, cpu: number, isOpen: boolean): Errno | undefined;
  lost(area: MapArea, cpu: number): number;
  /** perf_event_output of a record to an event of that index, on a CPU (__bpf_perf_event_output, kernel/trace/bpf_trace.c, 6.12). */
  output(area: MapArea, target: { readonly index: number; readonly cpu: number }, bytes: Uint8Array): Errno | undefined;
}

/**
 * A buffer for each CPU is open from the beginning, as after perf_buffer__new; deleting the entry of a CPU closes it, updating opens it.
 */
export function perfMap({ maxEntries }: MapSpec, cpus: number): PerfMap {
  const count = Math.min(maxEntries, cpus);
  const base = (cpu: number): number => MAP_PAGE_SIZE + cpu * PERF_STRIDE;
  const rings = Array.from(
    { length: count },
    (_, cpu) =>
      new Ring({
        consumerAt: base(cpu),
        producerAt: base(cpu) + MAP_PAGE_SIZE,
        dataAt: base(cpu) + 2 * MAP_PAGE_SIZE,
        size: PERF_RING_SIZE,
      }),
  );
  const isOpen = (area: MapArea, cpu: number): boolean => cpu < count && area.u32(OPEN + 4 * cpu) === 0;
  return {
    rings,
    size: MAP_PAGE_SIZE + count * PERF_STRIDE,
    isOpen,
    setOpen(area, cpu, open) {
      if (cpu >= maxEntries) return 'E2BIG';
      if (!open && !isOpen(area, cpu)) return 'ENOENT';
      if (cpu >= count) return 'EINVAL';
      // What a closed event had is gone with it.
      if (!open) rings[cpu]?.consume(area, rings[cpu].producer(area));
      area.setU32(OPEN + 4 * cpu, open ? 0 : 1);
      return undefined;
    },
    lost: (area, cpu) => area.u32(LOST + 4 * cpu),
    output(area, { index, cpu }, bytes) {
      if (index >= maxEntries) return 'E2BIG';
      const ring = rings[index];
      if (ring === undefined || !isOpen(area, index)) return 'ENOENT';
      if (index !== cpu) return 'EOPNOTSUPP';
      if (ring.output(area, bytes)) return undefined;
      area.setU32(LOST + 4 * index, area.u32(LOST + 4 * index) + 1);
      return 'ENOSPC';
    },
  };
}
