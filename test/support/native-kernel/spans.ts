import { PAGE_SIZE } from '../../../src/cpu/index.ts';
import type { Piece } from './low-memory.ts';

export interface Span {
  readonly start: bigint;
  end: bigint;
  readonly permissions: Piece['permissions'];
}

/** Pages that follow one another with the same permissions; a page of two pieces has those of the first. */
export function spansOf(pieces: readonly Piece[]): readonly Span[] {
  const page = BigInt(PAGE_SIZE);
  const spans: Span[] = [];
  for (const { low, bytes, permissions } of [...pieces].sort((a, b) => (a.low < b.low ? -1 : 1))) {
    const last = spans.at(-1);
    const aligned = low - (low % page);
    const start = last !== undefined && aligned < last.end ? last.end : aligned;
    const end = ((low + BigInt(bytes.length) + page - 1n) / page) * page;
    if (end <= start) continue;
    if (last?.end === start && last.permissions === permissions) last.end = end;
    else spans.push({ start, end, permissions });
  }
  return spans;
}
