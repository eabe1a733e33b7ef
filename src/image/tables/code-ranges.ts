import type { RawKernel, RawSection } from '../raw-kernel.ts';
import { upperBound } from '../symbol-index.ts';

/** Sections of code with contents in the link range, ascending: where text offsets may point. */
export interface CodeRanges {
  readonly sections: readonly (RawSection & { readonly offset: number })[];
  contains(offset: number, length: number): boolean;
  section(offset: number): (RawSection & { readonly offset: number }) | undefined;
  /** On-disk byte; undefined outside code. */
  u8(offset: number): number | undefined;
}

export function codeRanges(kernel: RawKernel): CodeRanges {
  const sections = kernel.sections
    .filter(
      (s): s is RawSection & { readonly offset: number } =>
        s.executable && s.offset !== undefined && s.bytes.length > 0,
    )
    .sort((a, b) => a.offset - b.offset);
  const starts = sections.map((s) => s.offset);
  const section = (offset: number): (typeof sections)[number] | undefined => {
    const found = sections[upperBound(starts, offset) - 1];
    return found !== undefined && offset < found.offset + found.bytes.length ? found : undefined;
  };
  return {
    sections,
    section,
    contains: (offset, length) => {
      const found = section(offset);
      return found !== undefined && offset + length <= found.offset + found.bytes.length;
    },
    u8: (offset) => {
      const found = section(offset);
      return found?.bytes[offset - found.offset];
    },
  };
}
