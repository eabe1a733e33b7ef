import { NO_DELTA, sameDelta, type TextDelta } from './text-delta.ts';

const PAGE_SHIFT = 12;
const PAGE_SIZE = 1 << PAGE_SHIFT;
const PAGE_MASK = PAGE_SIZE - 1;
const INT3 = 0xcc;

interface Segment {
  readonly start: number;
  readonly end: number;
  /** Undefined: generated code, int3 where nothing was written. */
  readonly bytes: Uint8Array | undefined;
}

export interface Overlay {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * The text that the CPUs of a machine see: pristine text, what owners changed, and on top of both the machine's own hypercalls. The last are
 * nowhere but here: the kernel's text, which is audited and compared, does not have them.
 */
export class MachineText {
  readonly #segments: readonly Segment[];
  readonly #pages = new Map<number, Uint8Array>();
  #recent: Segment;
  #delta: TextDelta = NO_DELTA;
  #overlays: readonly Overlay[] = [];
  /** Goes up whenever a byte may have changed. */
  generation = 0;

  constructor(
    text: readonly { readonly start: number; readonly bytes: Uint8Array }[],
    arena: { readonly start: number; readonly end: number },
  ) {
    const core = text.map(({ start, bytes }) => ({ start, end: start + bytes.length, bytes }));
    const generated: Segment = { ...arena, bytes: undefined };
    this.#segments = [...core, generated];
    this.#recent = core[0] ?? generated;
  }

  #find(offset: number, length: number): Segment | undefined {
    if (offset >= this.#recent.start && offset + length <= this.#recent.end) return this.#recent;
    const found = this.#segments.find((s) => offset >= s.start && offset + length <= s.end);
    if (found !== undefined) this.#recent = found;
    return found;
  }

  contains(offset: number, length: number): boolean {
    return this.#find(offset, length) !== undefined;
  }

  u8(offset: number): number {
    const page = this.#pages.get(offset >>> PAGE_SHIFT);
    if (page !== undefined) return page[offset & PAGE_MASK] as number;
    const segment = this.#find(offset, 1);
    return segment?.bytes?.[offset - segment.start] ?? INT3;
  }

  /** Whatever was written over it. */
  pristine(offset: number): number {
    const segment = this.#find(offset, 1);
    return segment?.bytes?.[offset - segment.start] ?? INT3;
  }

  /** Generated code. */
  isArena(offset: number): boolean {
    return this.#find(offset, 1)?.bytes === undefined;
  }

  bytes(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.u8(offset + i);
    return out;
  }

  /** Replaces what owners changed and the overlays; nothing happens when both are what they were. */
  show(delta: TextDelta, overlays: readonly Overlay[]): void {
    if (overlays === this.#overlays && sameDelta(delta, this.#delta)) return;
    this.#delta = delta;
    this.#overlays = overlays;
    this.#pages.clear();
    let used = 0;
    for (let i = 0; i < delta.runs.length; i += 2) {
      const length = delta.runs[i + 1] as number;
      this.#write(delta.runs[i] as number, delta.bytes.subarray(used, used + length));
      used += length;
    }
    for (const { at, bytes } of overlays) this.#write(at, bytes);
    this.generation += 1;
  }

  /** One write of a poke, while CPUs run. */
  write(at: number, bytes: Uint8Array): void {
    this.#write(at, bytes);
    this.generation += 1;
  }

  #write(at: number, bytes: Uint8Array): void {
    for (const [i, byte] of bytes.entries()) this.#page(at + i)[(at + i) & PAGE_MASK] = byte;
  }

  #page(offset: number): Uint8Array {
    const number = offset >>> PAGE_SHIFT;
    const known = this.#pages.get(number);
    if (known !== undefined) return known;
    const page = new Uint8Array(PAGE_SIZE).fill(INT3);
    const start = (number << PAGE_SHIFT) >>> 0;
    for (const segment of this.#segments) {
      if (segment.bytes === undefined || segment.end <= start || segment.start >= start + PAGE_SIZE) continue;
      const from = Math.max(segment.start, start);
      const to = Math.min(segment.end, start + PAGE_SIZE);
      page.set(segment.bytes.subarray(from - segment.start, to - segment.start), from - start);
    }
    this.#pages.set(number, page);
    return page;
  }
}
