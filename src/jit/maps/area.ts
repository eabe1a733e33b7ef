import { invariant } from '../../base/index.ts';

const PAGE_SHIFT = 12;
export const MAP_PAGE_SIZE = 1 << PAGE_SHIFT;
const PAGE_MASK = MAP_PAGE_SIZE - 1;

/** Pages by number; one that is not there is zeroes. */
export type MapPages = Iterable<readonly [number, Uint8Array]> & { get(page: number): Uint8Array | undefined };

/**
 * The memory of one map: everything that it is, its bookkeeping included, so that who has the bytes has the map. Offsets count from its first byte;
 * numbers are little-endian.
 */
export interface MapArea {
  u32(at: number): number;
  setU32(at: number, value: number): void;
  u64(at: number): bigint;
  setU64(at: number, value: bigint): void;
  /** A copy. */
  read(at: number, length: number): Uint8Array;
  write(at: number, bytes: Uint8Array): void;
}

/** Pages that others hold, too: what is written is copied first, and the pages that were there stay as they are. */
export class PagedArea implements MapArea {
  readonly #before: MapPages;
  readonly #written = new Map<number, Uint8Array>();

  constructor(pages: MapPages = new Map()) {
    this.#before = pages;
  }

  /** The pages that were written, whole. */
  get written(): ReadonlyMap<number, Uint8Array> {
    return this.#written;
  }

  #page(number: number): Uint8Array | undefined {
    return this.#written.get(number) ?? this.#before.get(number);
  }

  #writable(number: number): Uint8Array {
    const known = this.#written.get(number);
    if (known !== undefined) return known;
    const copy = this.#before.get(number)?.slice() ?? new Uint8Array(MAP_PAGE_SIZE);
    this.#written.set(number, copy);
    return copy;
  }

  read(at: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const offset = (at + done) & PAGE_MASK;
      const count = Math.min(length - done, MAP_PAGE_SIZE - offset);
      const page = this.#page((at + done) >>> PAGE_SHIFT);
      if (page !== undefined) out.set(page.subarray(offset, offset + count), done);
      done += count;
    }
    return out;
  }

  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const offset = (at + done) & PAGE_MASK;
      const count = Math.min(bytes.length - done, MAP_PAGE_SIZE - offset);
      this.#writable((at + done) >>> PAGE_SHIFT).set(bytes.subarray(done, done + count), offset);
      done += count;
    }
  }

  u32(at: number): number {
    return new DataView(this.read(at, 4).buffer).getUint32(0, true);
  }

  setU32(at: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.write(at, bytes);
  }

  u64(at: number): bigint {
    return new DataView(this.read(at, 8).buffer).getBigUint64(0, true);
  }

  setU64(at: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.write(at, bytes);
  }
}

/** What a region of simulated memory has: its bytes, and a mark for each page that was written. */
export interface MappedBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly dirty: Uint8Array;
}

/** Memory that simulated CPUs have mapped. Written as the kernel's own code does, whatever programs may do with it. */
export class MappedArea implements MapArea {
  readonly #mapped: MappedBytes;

  constructor(mapped: MappedBytes) {
    this.#mapped = mapped;
  }

  #mark(at: number, length: number): void {
    invariant(at >= 0 && at + length <= this.#mapped.bytes.length, 'a map writes its own memory');
    if (length > 0) this.#mapped.dirty.fill(1, at >>> PAGE_SHIFT, ((at + length - 1) >>> PAGE_SHIFT) + 1);
  }

  read(at: number, length: number): Uint8Array {
    return this.#mapped.bytes.slice(at, at + length);
  }

  write(at: number, bytes: Uint8Array): void {
    this.#mark(at, bytes.length);
    this.#mapped.bytes.set(bytes, at);
  }

  u32(at: number): number {
    return this.#mapped.view.getUint32(at, true);
  }

  setU32(at: number, value: number): void {
    this.#mark(at, 4);
    this.#mapped.view.setUint32(at, value, true);
  }

  u64(at: number): bigint {
    return this.#mapped.view.getBigUint64(at, true);
  }

  setU64(at: number, value: bigint): void {
    this.#mark(at, 8);
    this.#mapped.view.setBigUint64(at, value, true);
  }
}
