import { INT3_INSN_OPCODE } from '../insn/index.ts';

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
const PAGE_MASK = PAGE_SIZE - 1;
/** Up to here copying byte by byte costs less than making a subarray. */
const SHORT = 16;

/** A page nobody has filled: what executable memory without code holds. Never written: writing makes a copy first. */
const INT3_PAGE = new Uint8Array(PAGE_SIZE).fill(INT3_INSN_OPCODE);

/** A run of bytes; offsets count from `_text`. */
export interface TextRun {
  readonly at: number;
  readonly length: number;
}

/**
 * Contiguous text, one page table. A page that was never written is the pristine one, shared; the first write gives it a copy. So what
 * is dirty is known without looking, and going back to pristine is forgetting the copies.
 */
export interface TextSegment {
  readonly start: number;
  readonly end: number;
  readonly isArena: boolean;
  readonly firstPage: number;
  /** Whole pages, 0xCC outside [start, end); undefined for the arena. */
  readonly pristine: Uint8Array | undefined;
  /** Copies, by page number less `firstPage`. */
  readonly dirty: Map<number, Uint8Array>;
}

export function coreSegment(
  start: number,
  parts: readonly { readonly start: number; readonly bytes: Uint8Array }[],
): TextSegment {
  const end = parts.reduce((sum, part) => sum + part.bytes.length, start);
  const firstPage = start >>> PAGE_SHIFT;
  const pages = Math.ceil(end / PAGE_SIZE) - firstPage;
  const pristine = new Uint8Array(pages * PAGE_SIZE).fill(INT3_INSN_OPCODE);
  for (const part of parts) pristine.set(part.bytes, part.start - firstPage * PAGE_SIZE);
  return { start, end, isArena: false, firstPage, pristine, dirty: new Map() };
}

export const arenaSegment = (start: number, end: number): TextSegment => ({
  start,
  end,
  isArena: true,
  firstPage: start >>> PAGE_SHIFT,
  pristine: undefined,
  dirty: new Map(),
});

/** The page as it was at boot. Never hand it out. */
export function pristinePage(segment: TextSegment, page: number): Uint8Array {
  if (segment.pristine === undefined) return INT3_PAGE;
  return segment.pristine.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
}

export function readByte(segment: TextSegment, offset: number, pristineOnly: boolean): number {
  const page = (offset >>> PAGE_SHIFT) - segment.firstPage;
  const copy = pristineOnly ? undefined : segment.dirty.get(page);
  if (copy !== undefined) return copy[offset & PAGE_MASK] ?? INT3_INSN_OPCODE;
  return segment.pristine?.[offset - segment.firstPage * PAGE_SIZE] ?? INT3_INSN_OPCODE;
}

/** Copies [offset, offset + target.length) out. */
export function readInto(segment: TextSegment, offset: number, target: Uint8Array, pristineOnly: boolean): void {
  for (let done = 0; done < target.length; ) {
    const at = offset + done;
    const length = Math.min(target.length - done, PAGE_SIZE - (at & PAGE_MASK));
    const page = (at >>> PAGE_SHIFT) - segment.firstPage;
    const from = (pristineOnly ? undefined : segment.dirty.get(page)) ?? pristinePage(segment, page);
    if (length <= SHORT)
      for (let i = 0; i < length; i++) target[done + i] = from[(at & PAGE_MASK) + i] ?? INT3_INSN_OPCODE;
    else target.set(from.subarray(at & PAGE_MASK, (at & PAGE_MASK) + length), done);
    done += length;
  }
}

/** The page's own copy, made when it has none. */
function writablePage(segment: TextSegment, page: number): Uint8Array {
  const copy = segment.dirty.get(page);
  if (copy !== undefined) return copy;
  const fresh = pristinePage(segment, page).slice();
  segment.dirty.set(page, fresh);
  return fresh;
}

/** Copies bytes [from, to) to `offset`. */
export function writeFrom(segment: TextSegment, offset: number, bytes: Uint8Array, from: number, to: number): void {
  for (let done = from; done < to; ) {
    const at = offset + done - from;
    const inPage = at & PAGE_MASK;
    const length = Math.min(to - done, PAGE_SIZE - inPage);
    const page = writablePage(segment, (at >>> PAGE_SHIFT) - segment.firstPage);
    if (length <= SHORT) for (let i = 0; i < length; i++) page[inPage + i] = bytes[done + i] ?? 0;
    else page.set(bytes.subarray(done, done + length), inPage);
    done += length;
  }
}

/** Fills [offset, offset + length). */
export function fill(segment: TextSegment, offset: number, length: number, byte: number): void {
  for (let done = 0; done < length; ) {
    const inPage = (offset + done) & PAGE_MASK;
    const size = Math.min(length - done, PAGE_SIZE - inPage);
    const page = writablePage(segment, ((offset + done) >>> PAGE_SHIFT) - segment.firstPage);
    page.fill(byte, inPage, inPage + size);
    done += size;
  }
}

/** Appends the runs in which a segment differs from pristine, ascending; a run that goes on over a page's end is one run. */
export function collectChangedRuns(segment: TextSegment, runs: TextRun[]): void {
  const pages = [...segment.dirty.keys()].sort((a, b) => a - b);
  let start = -1;
  let end = -1;
  for (const page of pages) {
    const current = segment.dirty.get(page);
    const pristine = pristinePage(segment, page);
    if (current === undefined || Buffer.compare(current, pristine) === 0) continue;
    const base = (segment.firstPage + page) * PAGE_SIZE;
    const currentWords = words(current);
    const pristineWords = words(pristine);
    for (let word = 0; word < PAGE_SIZE / 4; word++) {
      if (currentWords[word] === pristineWords[word]) continue;
      for (let i = word * 4; i < word * 4 + 4; i++) {
        if (current[i] === pristine[i]) continue;
        if (base + i !== end) {
          if (start >= 0) runs.push({ at: start, length: end - start });
          start = base + i;
        }
        end = base + i + 1;
      }
    }
  }
  if (start >= 0) runs.push({ at: start, length: end - start });
}

/** Pages begin at multiples of their size in their buffers, so that words are aligned. */
const words = (page: Uint8Array): Int32Array => new Int32Array(page.buffer, page.byteOffset, PAGE_SIZE / 4);
