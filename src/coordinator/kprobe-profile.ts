import { ok, type Result } from '../base/index.ts';
import { type Attachment, parsePlace } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';

/** Its path below /sys/kernel. */
export const KPROBE_PROFILE = 'tracing/kprobe_profile';
/** What Linux counts in nmissed; a probe that is not reached is no miss there. */
const NMISSED = ['recursion', 'instances exhausted'];

/** The name that tracefs gives an event when nobody does: `p_` or `r_`, symbol, offset; characters with a meaning become `_`. */
function eventName({ kind, target }: Attachment): string {
  const place = typeof target === 'string' ? parsePlace(target) : undefined;
  const prefix = kind === 'kretprobe' ? 'r' : 'p';
  const name = place?.kind === 'symbol' ? `${prefix}_${place.name}_${place.delta}` : `${prefix}_${String(target)}`;
  return name.replaceAll(/[:.*]/g, '_');
}

/**
 * tracing/kprobe_profile: hits and misses of probes that came through tracefs, the oldest first.
 * Source: probes_profile_seq_show, kernel/trace/trace_kprobe.c (6.12; 6.1 alike).
 */
export function kprobeProfile({ state, counters }: Kernel): Result<string> {
  const events = [...state.attachments.values()]
    .filter(({ kind, options }) => (kind === 'kprobe' || kind === 'kretprobe') && options['via'] === 'tracefs')
    .sort((a, b) => a.sequence - b.sequence);
  const lines = events.map((each) => {
    const { hits, misses } = counters.of(each.id);
    const missed = NMISSED.reduce((sum, reason) => sum + (misses[reason] ?? 0), 0);
    return `  ${eventName(each).padEnd(44)} ${String(hits).padStart(15)} ${String(missed).padStart(15)}\n`;
  });
  return ok(lines.join(''));
}
