/** FNV-1a of bytes[start, end) with its high half folded in, u32. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

export function sameBytes(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false;
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false;
  return true;
}

/**
 * A chained hash table as two columns, so that it can be stored: `heads` has the first entry of each bucket (its index + 1, 0 for none), `next` the one
 * after each entry. Building is linear however many keys are equal. Entries of a bucket ascend.
 */
export interface HashChains {
  readonly heads: Uint32Array;
  readonly next: Uint32Array;
}

export function hashChains(count: number, hashOf: (index: number) => number): HashChains {
  let size = 16;
  while (size < count) size *= 2;
  const heads = new Uint32Array(size);
  const next = new Uint32Array(count);
  for (let index = count - 1; index >= 0; index--) {
    const bucket = hashOf(index) & (size - 1);
    next[index] = heads[bucket] as number;
    heads[bucket] = index + 1;
  }
  return { heads, next };
}

/** Indexes in the bucket of a hash, ascending. */
export function* chained({ heads, next }: HashChains, hash: number): Iterable<number> {
  for (let entry = heads[hash & (heads.length - 1)] as number; entry !== 0; entry = next[entry - 1] as number)
    yield entry - 1;
}
