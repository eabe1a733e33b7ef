import { invariant, textOffset } from '../base/index.ts';
import type { PristineText } from './kernel-image.ts';

/** One executable range with the bytes it has after boot. */
export interface PristineRange {
  readonly name: string;
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Read-only: bytes leave as copies. Ranges ascend; .text, by far the most asked for, is looked at first. */
export function pristineText(ranges: readonly PristineRange[]): PristineText {
  const main = ranges.reduce<PristineRange | undefined>(
    (most, r) => (most === undefined || r.bytes.length > most.bytes.length ? r : most),
    undefined,
  );
  const find = (offset: number, length: number): PristineRange | undefined => {
    const holds = (range: PristineRange): boolean =>
      offset >= range.start && offset + length <= range.start + range.bytes.length;
    if (length < 0) return undefined;
    return main !== undefined && holds(main) ? main : ranges.find(holds);
  };
  return {
    ranges: ranges.map((r) => ({ name: r.name, start: textOffset(r.start), length: r.bytes.length })),
    contains: (offset, length) => find(offset, length) !== undefined,
    u8: (offset) => {
      const range = find(offset, 1);
      invariant(range !== undefined, () => `0x${offset.toString(16)} is not text`);
      return range.bytes[offset - range.start] as number;
    },
    bytes: (offset, length) => {
      const range = find(offset, length);
      invariant(range !== undefined, () => `0x${offset.toString(16)}+${length} is not text`);
      return range.bytes.slice(offset - range.start, offset - range.start + length);
    },
  };
}
