import { textOffset } from '../../base/index.ts';
import type { TextRange } from '../kernel-image.ts';
import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';

/** What populate_kprobe_blacklist and x86's arch_populate_kprobe_blacklist take whole; .irqentry.text lies inside .entry.text. */
const BLACKLISTED = [
  ['.kprobes.text', '__kprobes_text_start', '__kprobes_text_end'],
  ['.noinstr.text', '__noinstr_text_start', '__noinstr_text_end'],
  ['.entry.text', '__entry_text_start', '__entry_text_end'],
  ['.irqentry.text', '__irqentry_text_start', '__irqentry_text_end'],
] as const;

/** Ranges in which no kprobe may be, ascending by start; empty ones are left out. */
export function readBlacklistRanges(kernel: RawKernel): readonly TextRange[] {
  const ranges: TextRange[] = [];
  for (const [name, start, end] of BLACKLISTED) {
    const from = kernel.symbolOffset(start);
    const to = kernel.symbolOffset(end);
    if (from === undefined || to === undefined || from === to) continue;
    if (to < from) refuse(name, from, `${end} lies below ${start}`);
    ranges.push({ name, start: textOffset(from), end: textOffset(to) });
  }
  return ranges.sort((a, b) => a.start - b.start);
}
