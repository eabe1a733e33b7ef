import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { CodeRanges } from './code-ranges.ts';
import { relative, type TableBytes, tableInSection } from './table-bytes.ts';

/**
 * struct alt_instr (arch/x86/include/asm/alternative.h), packed: s32 instr, s32 replacement, then u16 cpuid and u16 flags (6.3 and later) or one
 * u16 (before), u8 instrlen, u8 replacementlen, and a pad length before 5.18 or so. Which one it is, the table itself tells.
 */
const LAYOUTS = [
  { size: 14, lengths: 12 },
  { size: 12, lengths: 10 },
  { size: 13, lengths: 10 },
] as const;

interface Spans {
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

function spansWith(table: TableBytes, layout: (typeof LAYOUTS)[number], code: CodeRanges): Spans | undefined {
  if (table.view.length % layout.size !== 0) return undefined;
  const count = table.view.length / layout.size;
  const starts = new Uint32Array(count);
  const ends = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * layout.size;
    const start = relative(table, at);
    const length = table.view.u8(at + layout.lengths);
    const replacement = relative(table, at + 4);
    const replacementLength = table.view.u8(at + layout.lengths + 1);
    if (length === 0 || start < 0 || !code.contains(start, length)) return undefined;
    if (replacementLength > length || (replacementLength > 0 && !code.contains(replacement, replacementLength)))
      return undefined;
    starts[i] = start;
    ends[i] = start + length;
  }
  return { starts, ends };
}

/** Ranges that alternatives replace, ascending by start; several alternatives of one place are one range, the longest. */
export function readAlternatives(kernel: RawKernel, code: CodeRanges): Spans {
  const table = tableInSection(kernel, '.altinstructions', '__alt_instructions_end');
  if (table === undefined) return { starts: new Uint32Array(0), ends: new Uint32Array(0) };
  for (const layout of LAYOUTS) {
    const spans = spansWith(table, layout, code);
    if (spans !== undefined) return merged(spans);
  }
  return refuse('.altinstructions', table.offset, 'neither 14-, 12- nor 13-byte entries point to code');
}

/** Lengths fit a byte: start and length sort as one number. */
const LENGTHS = 256;

function merged(spans: Spans): Spans {
  const both = Float64Array.from(
    spans.starts,
    (start, i) => start * LENGTHS + ((spans.ends[i] as number) - start),
  ).sort();
  const longest = both.filter((value, i) => Math.floor(value / LENGTHS) !== Math.floor((both[i + 1] ?? -1) / LENGTHS));
  const starts = Uint32Array.from(longest, (value) => Math.floor(value / LENGTHS));
  return { starts, ends: Uint32Array.from(longest, (value, i) => (starts[i] as number) + (value % LENGTHS)) };
}
