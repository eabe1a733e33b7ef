/** stack_trace: one stack in each bucket. Source: kernel/bpf/stackmap.c (6.12). */
import { bytesEqual, type Errno } from '../../base/index.ts';
import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import { jhash } from './jhash.ts';
import { roundUp } from './map-limits.ts';
import type { MapSpec } from './map-spec.ts';

/** A bucket: whether it is used, its hash, how many addresses; the addresses. */
const NR = 0;
const HASH = 4;
const IPS = 8;

export const BPF_F_FAST_STACK_CMP = 1n << 9n;
export const BPF_F_REUSE_STACKID = 1n << 10n;

export interface StackMap {
  readonly size: number;
  /** Most addresses of one stack. */
  readonly depth: number;
  /** Keeps a stack and answers its id (__bpf_get_stackid). */
  put(area: MapArea, ips: readonly bigint[], flags: bigint): number | Errno;
  get(area: MapArea, id: number): readonly bigint[] | undefined;
  delete(area: MapArea, id: number): Errno | undefined;
  ids(area: MapArea): Generator<number>;
}

export function stackMap({ maxEntries, valueSize }: MapSpec): StackMap {
  const buckets = 2 ** Math.ceil(Math.log2(maxEntries));
  const depth = valueSize / 8;
  const stride = IPS + valueSize;
  const at = (id: number): number => MAP_PAGE_SIZE + id * stride;
  /** Number of addresses plus 1, so that an empty stack is one, too. */
  const used = (area: MapArea, id: number): number => area.u32(at(id) + NR);
  return {
    size: roundUp(MAP_PAGE_SIZE + buckets * stride, MAP_PAGE_SIZE),
    depth,
    put(area, all, flags) {
      const ips = all.slice(0, depth);
      const bytes = new Uint8Array(ips.length * 8);
      const view = new DataView(bytes.buffer);
      for (const [i, ip] of ips.entries()) view.setBigUint64(i * 8, ip, true);
      const hash = jhash(bytes);
      const id = hash & (buckets - 1);
      const isTaken = used(area, id) !== 0;
      const sameHash = isTaken && area.u32(at(id) + HASH) === hash;
      const isFast = (flags & BPF_F_FAST_STACK_CMP) !== 0n;
      const isSame =
        sameHash && used(area, id) === ips.length + 1 && bytesEqual(area.read(at(id) + IPS, bytes.length), bytes);
      if ((isFast && sameHash) || isSame) return id;
      if (isTaken && (flags & BPF_F_REUSE_STACKID) === 0n) return 'EEXIST';
      area.setU32(at(id) + NR, ips.length + 1);
      area.setU32(at(id) + HASH, hash);
      area.write(at(id) + IPS, bytes);
      return id;
    },
    get(area, id) {
      const count = id < buckets ? used(area, id) : 0;
      if (count === 0) return undefined;
      return Array.from({ length: count - 1 }, (_, i) => area.u64(at(id) + IPS + 8 * i));
    },
    delete(area, id) {
      if (id >= buckets) return 'E2BIG';
      if (used(area, id) === 0) return 'ENOENT';
      area.setU32(at(id) + NR, 0);
      return undefined;
    },
    *ids(area) {
      for (let id = 0; id < buckets; id++) if (used(area, id) !== 0) yield id;
    },
  };
}
