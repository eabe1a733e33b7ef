import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { TextRangeBytes } from './boot-patching.ts';

/**
 * Executable memory while the kernel boots: one address space over the ranges that will be text, and over private copies of the other
 * executable sections (`.altinstr_replacement`, whose returns and calls are patched before they are copied from there).
 */
export interface BootText {
  has(offset: number, length: number): boolean;
  /** The bytes as they are now; writing to the view writes the text. Refuses a place outside of executable memory. */
  view(offset: number, length: number): Uint8Array;
  s32(offset: number): number;
  write(offset: number, bytes: Uint8Array): void;
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly data: DataView;
}

const rangeOf = (start: number, bytes: Uint8Array): Range => ({
  start,
  end: start + bytes.length,
  bytes,
  data: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});

export function bootText(kernel: RawKernel, text: readonly TextRangeBytes[]): BootText {
  const ranges = text.map((range) => rangeOf(range.start, range.bytes));
  for (const section of kernel.sections) {
    const start = section.offset;
    if (!section.executable || start === undefined || section.bytes.length === 0) continue;
    if (ranges.some((range) => start < range.end && start + section.bytes.length > range.start)) continue;
    ranges.push(rangeOf(start, section.bytes.slice()));
  }
  let last = ranges[0];
  const find = (offset: number, length: number): Range | undefined => {
    if (last !== undefined && offset >= last.start && offset + length <= last.end) return last;
    const found = ranges.find((range) => offset >= range.start && offset + length <= range.end);
    if (found !== undefined) last = found;
    return found;
  };
  const need = (offset: number, length: number): Range =>
    find(offset, length) ??
    refuse(
      'executable memory',
      Math.max(offset, 0),
      `${kernel.describe(offset)} (${length} bytes) is to be patched and lies outside`,
    );
  return {
    has: (offset, length) => find(offset, length) !== undefined,
    view: (offset, length) => {
      const range = need(offset, length);
      return range.bytes.subarray(offset - range.start, offset - range.start + length);
    },
    s32: (offset) => {
      const range = need(offset, 4);
      return range.data.getInt32(offset - range.start, true);
    },
    write: (offset, bytes) => {
      const range = need(offset, bytes.length);
      range.bytes.set(bytes, offset - range.start);
    },
  };
}
