/**
 * Files of debugfs about kprobes. Source: kernel/kprobes.c show_kprobe_addr, report_probe, kprobe_blacklist_seq_show,
 * populate_kprobe_blacklist (6.12; 6.1 alike).
 */
import { ok, type Result, toAddress } from '../../base/index.ts';
import { isOptimized } from '../kprobe/can-optimize.ts';
import type { KprobeChild, KprobeEntry } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { rawAddress } from './format-symbol.ts';

const KPROBE_HASH_BITS = 6n;
/** include/linux/hash.h. */
const GOLDEN_RATIO_64 = 0x61c8_8646_80b5_83ebn;

/** hash_ptr: the list goes through the hash table's buckets. */
function bucketOf(txn: Txn, addr: number): number {
  const product = BigInt.asUintN(64, toAddress(txn.world.image.base, addr) * GOLDEN_RATIO_64);
  return Number(product >> (64n - KPROBE_HASH_BITS));
}

/** When the address got its first probe, as far as its present probes tell; the newest entry of a bucket stands first. */
const ageOf = (txn: Txn, entry: KprobeEntry): number =>
  Math.min(
    ...entry.children.map((child) => (child.kind === 'probe' ? (txn.attachments.get(child.id)?.sequence ?? 0) : 0)),
  );

function probeLine(txn: Txn, entry: KprobeEntry, child: KprobeChild, isJump: boolean): string {
  const probe = child.kind === 'probe' ? txn.kprobes.get(child.id) : undefined;
  const kind = child.kind === 'probe' ? probe?.kind : child.probe;
  // Linux clears the address of a probe that it failed to unregister, and leaves it on the list.
  const address = child.kind === 'probe' ? rawAddress(txn, entry.addr).slice(2) : '0'.repeat(16);
  const symbol = txn.world.image.symbols.containing(entry.addr);
  const place =
    symbol?.offset === undefined
      ? rawAddress(txn, entry.addr)
      : `${symbol.name}+0x${(entry.addr - symbol.offset).toString(16)}   `;
  const flags = [
    probe?.isDisabled === true ? '[DISABLED]' : '',
    isJump ? '[OPTIMIZED]' : '',
    entry.isFtrace ? '[FTRACE]' : '',
  ].join('');
  return `${address}  ${kind === 'kretprobe' ? 'r' : 'k'}  ${place} ${flags}\n`;
}

/** Every kprobe, those that share an address one after the other, newest first. */
export function kprobesList(txn: Txn): Result<string> {
  const entries = [...txn.kprobeTable.values()].map((entry) => ({
    entry,
    bucket: bucketOf(txn, entry.addr),
    age: ageOf(txn, entry),
  }));
  entries.sort((a, b) => a.bucket - b.bucket || b.age - a.age || a.entry.addr - b.entry.addr);
  const lines = entries.flatMap(({ entry }) => {
    const isJump = isOptimized(txn, entry);
    return entry.children.map((child) => probeLine(txn, entry, child, isJump));
  });
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
