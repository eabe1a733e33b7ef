/**
 * Files of debugfs about kprobes. Source: kernel/kprobes.c show_kprobe_addr, report_probe, kprobe_blacklist_seq_show,
 * populate_kprobe_blacklist (6.12; 6.1 alike).
 */
import { ok, type Result } from '../../base/index.ts';
import { moduleAt } from '../../image/index.ts';
import { byHashBucket } from '../kprobe/hash-table.ts';
import type { KprobeChild, KprobeEntry } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { rawAddress } from './format-symbol.ts';

function probeLine(txn: Txn, entry: KprobeEntry, child: KprobeChild): string {
  const probe = child.kind === 'probe' ? txn.kprobes.get(child.id) : undefined;
  const kind = child.kind === 'probe' ? probe?.kind : child.probe;
  // Linux clears the address of a probe that it failed to unregister, and leaves it on the list.
  const address = child.kind === 'probe' ? rawAddress(txn, entry.addr).slice(2) : '0'.repeat(16);
  const symbol = txn.world.image.symbols.containing(entry.addr);
  const place =
    symbol?.offset === undefined
      ? rawAddress(txn, entry.addr)
      : `${symbol.name}+0x${(entry.addr - symbol.offset).toString(16)}  ${moduleAt(txn.world.image, entry.addr)?.name ?? ' '}`;
  const flags = [
    probe?.isGone === true ? '[GONE]' : '',
    probe?.isDisabled === true && probe.isGone !== true ? '[DISABLED]' : '',
    entry.opt?.isOptimized === true ? '[OPTIMIZED]' : '',
    entry.isFtrace ? '[FTRACE]' : '',
  ].join('');
  return `${address}  ${kind === 'kretprobe' ? 'r' : 'k'}  ${place} ${flags}\n`;
}

/** Every kprobe, those that share an address one after the other, newest first. */
export function kprobesList(txn: Txn): Result<string> {
  const lines = byHashBucket(txn).flatMap((entry) => entry.children.map((child) => probeLine(txn, entry, child)));
  return ok(lines.join(''));
}

/** One line of the blacklist: the symbol's size from `start` on, although `start` may lie inside the symbol. */
function blacklisted(txn: Txn, start: number): { readonly line: string; readonly size: number } | undefined {
  const symbol = txn.world.image.symbols.containing(start);
  if (symbol === undefined) return undefined;
  const range = `${rawAddress(txn, start)}-${rawAddress(txn, start + symbol.size)}`;
  return { line: `${range}\t${symbol.name}\n`, size: symbol.size };
}

/** Areas in the order in which Linux adds them. */
const AREAS = ['.kprobes.text', '.noinstr.text', '.entry.text'];

/**
 * Where no kprobe may go: the single entries, here by address and in Linux in link order, then symbol by symbol the areas that are
 * forbidden whole.
 */
export function kprobesBlacklist(txn: Txn): Result<string> {
  const { kprobeBlacklist } = txn.world.image;
  const lines: string[] = [];
  for (const entry of kprobeBlacklist.entries) {
    const added = blacklisted(txn, entry);
    if (added !== undefined) lines.push(added.line);
  }
  for (const name of AREAS) {
    const area = kprobeBlacklist.ranges.find((range) => range.name === name);
    if (area === undefined) continue;
    for (let at: number = area.start; at < area.end; ) {
      const added = blacklisted(txn, at);
      if (added === undefined) break;
      lines.push(added.line);
      at += added.size;
    }
  }
  return ok(lines.join(''));
}
