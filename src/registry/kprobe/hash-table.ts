/** The order in which Linux walks its kprobes. Source: kernel/kprobes.c kprobe_table, hash_ptr (6.12; 6.1 alike). */
import { toAddress } from '../../base/index.ts';
import type { KprobeEntry } from '../model/state.ts';
import type { Txn } from '../txn.ts';

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

/** Entries bucket by bucket, newest first in each. */
export function byHashBucket(txn: Txn): readonly KprobeEntry[] {
  const entries = [...txn.kprobeTable.values()].map((entry) => ({
    entry,
    bucket: bucketOf(txn, entry.addr),
    age: entry.children.length === 0 ? 0 : ageOf(txn, entry),
  }));
  entries.sort((a, b) => a.bucket - b.bucket || b.age - a.age || a.entry.addr - b.entry.addr);
  return entries.map(({ entry }) => entry);
}
