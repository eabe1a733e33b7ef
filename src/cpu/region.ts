import { invariant } from '../base/index.ts';
import { highWord, lowWord } from './wide.ts';

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/** `r--`: constants, `rw-`: data, stacks and heap, `r-x`: generated code that is no kernel text, `---`: guard pages. There is no `rwx`. */
export type Permissions = 'r--' | 'rw-' | 'r-x' | '---';

export interface RegionRequest {
  /** For people, e.g. `stack of CPU 1`. */
  readonly name: string;
  /** Page aligned. The region must not cross a multiple of 4 GiB. */
  readonly start: bigint;
  /** Bytes, a multiple of the page size. */
  readonly length: number;
  readonly permissions: Permissions;
  /** What it holds at first, at its start; zeroes behind. Copied; kept for going back, and never written. */
  readonly initial?: Uint8Array;
}

/**
 * A run of pages with one set of permissions and one backing. It knows which of its pages were written, so that going back to a
 * snapshot costs what was written and not what is there.
 */
export class Region {
  readonly name: string;
  readonly start: bigint;
  readonly length: number;
  readonly permissions: Permissions;
  readonly high: number;
  readonly low: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly initial: Uint8Array | undefined;
  /** 1 for each page that may differ from what the region held at first. */
  readonly dirty: Uint8Array;

  constructor(request: RegionRequest) {
    const { start, length } = request;
    invariant(start % BigInt(PAGE_SIZE) === 0n, `${request.name}: a region begins at a page`);
    invariant(length % PAGE_SIZE === 0, `${request.name}: a region is whole pages`);
    invariant(length <= 0x7fff_f000, `${request.name}: a region has less than 2 GiB`);
    invariant(
      /^(?:r--|rw-|r-x|---)$/.test(request.permissions),
      `${request.name}: no region is both writable and executable`,
    );
    this.name = request.name;
    this.start = start;
    this.length = length;
    this.permissions = request.permissions;
    this.high = highWord(start);
    this.low = lowWord(start);
    invariant(
      (this.low >>> 0) + length <= 0x1_0000_0000,
      `${request.name}: a region must not cross a multiple of 4 GiB`,
    );
    this.initial = request.initial;
    this.bytes = new Uint8Array(length);
    if (request.initial !== undefined) this.bytes.set(request.initial);
    this.view = new DataView(this.bytes.buffer);
    this.dirty = new Uint8Array(length >>> PAGE_SHIFT);
  }

  /** Puts a page back to what the region held at first. */
  resetPage(page: number): void {
    const from = page * PAGE_SIZE;
    this.bytes.fill(0, from, from + PAGE_SIZE);
    const initial = this.initial?.subarray(from, from + PAGE_SIZE);
    if (initial !== undefined) this.bytes.set(initial, from);
    this.dirty[page] = 0;
  }
}
