/**
 * One ring of records with a producer and a consumer: a BPF ring buffer, or what a perf event of one CPU writes into.
 * Source: kernel/bpf/ringbuf.c (6.12): positions only grow, a record is a header of 8 bytes and its bytes, padded to 8.
 */
import type { MapArea } from './area.ts';

export const BPF_RINGBUF_BUSY_BIT = 0x8000_0000;
export const BPF_RINGBUF_DISCARD_BIT = 0x4000_0000;
export const BPF_RINGBUF_HDR_SZ = 8;
/** RINGBUF_MAX_RECORD_SZ */
const RECORD_MAX = 0x3fff_ffff;

export interface RingPlaces {
  readonly consumerAt: number;
  readonly producerAt: number;
  /** The data, and as much room again: a record is never cut in two, as if the pages were mapped twice. */
  readonly dataAt: number;
  /** A power of 2. */
  readonly size: number;
}

export interface RingRecord {
  /** Position of its header. */
  readonly position: bigint;
  readonly bytes: Uint8Array;
}

export class Ring {
  readonly places: RingPlaces;

  constructor(places: RingPlaces) {
    this.places = places;
  }

  consumer(area: MapArea): bigint {
    return area.u64(this.places.consumerAt);
  }

  producer(area: MapArea): bigint {
    return area.u64(this.places.producerAt);
  }

  /** Bytes that were produced and not consumed, headers included. */
  available(area: MapArea): bigint {
    return this.producer(area) - this.consumer(area);
  }

  #headerAt(position: bigint): number {
    return this.places.dataAt + Number(position & BigInt(this.places.size - 1));
  }

  /** Offset of `size` bytes that nobody sees before they are committed; undefined when there is no room (__bpf_ringbuf_reserve). */
  reserve(area: MapArea, size: number): number | undefined {
    const { size: ringSize, producerAt } = this.places;
    const length = Math.ceil((size + BPF_RINGBUF_HDR_SZ) / 8) * 8;
    if (size > RECORD_MAX || length > ringSize) return undefined;
    const producer = this.producer(area);
    const next = producer + BigInt(length);
    if (next - this.consumer(area) > BigInt(ringSize - 1)) return undefined;
    const headerAt = this.#headerAt(producer);
    area.setU32(headerAt, (size | BPF_RINGBUF_BUSY_BIT) >>> 0);
    // pg_off: pages from the record back to its ring, as the kernel finds it again.
    area.setU32(headerAt + 4, headerAt >>> 12);
    area.setU64(producerAt, next);
    return headerAt + BPF_RINGBUF_HDR_SZ;
  }

  /** bpf_ringbuf_commit: from now on the consumer sees the record, or passes it over. */
  commit(area: MapArea, sampleAt: number, isDiscarded: boolean): void {
    const headerAt = sampleAt - BPF_RINGBUF_HDR_SZ;
    const length = area.u32(headerAt) & ~BPF_RINGBUF_BUSY_BIT;
    area.setU32(headerAt, (isDiscarded ? length | BPF_RINGBUF_DISCARD_BIT : length) >>> 0);
  }

  /** True for the offset of a record that was reserved and not committed. */
  isReserved(area: MapArea, sampleAt: number): boolean {
    const { dataAt, size } = this.places;
    const headerAt = sampleAt - BPF_RINGBUF_HDR_SZ;
    return headerAt >= dataAt && headerAt < dataAt + size && (area.u32(headerAt) & BPF_RINGBUF_BUSY_BIT) !== 0;
  }

  /** bpf_ringbuf_output; false: no room. */
  output(area: MapArea, bytes: Uint8Array): boolean {
    const at = this.reserve(area, bytes.length);
    if (at === undefined) return false;
    area.write(at, bytes);
    this.commit(area, at, false);
    return true;
  }

  /**
   * Committed records from a position on, oldest first, up to one that is still written; `next` is where to go on. Discarded ones are
   * passed over.
   */
  records(
    area: MapArea,
    from: bigint,
    max: number,
  ): { readonly records: readonly RingRecord[]; readonly next: bigint } {
    const producer = this.producer(area);
    const records: RingRecord[] = [];
    let position = from;
    while (position < producer && records.length < max) {
      const headerAt = this.#headerAt(position);
      const header = area.u32(headerAt);
      if ((header & BPF_RINGBUF_BUSY_BIT) !== 0) break;
      const length = header & ~BPF_RINGBUF_DISCARD_BIT;
      if ((header & BPF_RINGBUF_DISCARD_BIT) === 0)
        records.push({ position, bytes: area.read(headerAt + BPF_RINGBUF_HDR_SZ, length) });
      position += BigInt(Math.ceil((length + BPF_RINGBUF_HDR_SZ) / 8) * 8);
    }
    return { records, next: position };
  }

  consume(area: MapArea, upTo: bigint): void {
    area.setU64(this.places.consumerAt, upTo);
  }
}
