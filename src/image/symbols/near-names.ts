/** Longer wishes are no typing errors, and the search is quadratic in the length. */
const NAME_MAX = 128;
/** Places a name may differ in: one in three, at least one, at most this many. */
const DISTANCE_MAX = 4;

/** Names by index, as the search needs them. */
export interface NameColumn {
  readonly names: Uint8Array;
  start(index: number): number;
  end(index: number): number;
}

/**
 * Optimal string alignment distance (insert, delete, substitute, swap neighbours) of `wanted` and bytes[start, end), or `limit` + 1 when it is
 * greater than `limit`. Three rows are reused between calls.
 */
export function distanceWithin(
  limit: number,
  rows: Uint8Array[],
  wanted: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  let [before, previous, current] = rows as [Uint8Array, Uint8Array, Uint8Array];
  const width = wanted.length;
  for (let j = 0; j <= width; j++) previous[j] = j;
  for (let i = 1; i <= end - start; i++) {
    const byte = bytes[start + i - 1];
    current[0] = i;
    let best = i;
    for (let j = 1; j <= width; j++) {
      let cell = Math.min(
        (previous[j] as number) + 1,
        (current[j - 1] as number) + 1,
        (previous[j - 1] as number) + Number(wanted[j - 1] !== byte),
      );
      if (i > 1 && j > 1 && wanted[j - 2] === byte && bytes[start + i - 2] === wanted[j - 1])
        cell = Math.min(cell, (before[j - 2] as number) + 1);
      current[j] = cell;
      if (cell < best) best = cell;
    }
    if (best > limit) return limit + 1;
    [before, previous, current] = [previous, current, before];
  }
  return Math.min(previous[width] as number, limit + 1);
}

/** Which of 32 character classes occur: names within distance d differ in at most 2d of them. */
export function characterSet(bytes: Uint8Array, start: number, end: number): number {
  let set = 0;
  for (let i = start; i < end; i++) set |= 1 << ((bytes[i] as number) & 31);
  return set;
}

function bitCount(value: number): number {
  let v = value - ((value >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function startsWith(column: NameColumn, index: number, wanted: Uint8Array): boolean {
  const start = column.start(index);
  if (column.end(index) - start < wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (column.names[start + i] !== wanted[i]) return false;
  return true;
}

/**
 * Indexes out of `candidates` whose names resemble `name`, nearest first: by distance (bounded by a third of the length), then names that begin
 * with it, in table order. Bounded work: one pass, most names are told apart by length and characters.
 */
export function nearNames(
  column: NameColumn,
  candidates: Uint32Array,
  sets: Uint32Array,
  name: string,
  limit: number,
): number[] {
  const wanted = Buffer.from(name, 'latin1').subarray(0, NAME_MAX);
  if (wanted.length === 0 || limit <= 0) return [];
  const reach = Math.min(DISTANCE_MAX, Math.max(1, Math.floor(wanted.length / 3)));
  const rows = [0, 1, 2].map(() => new Uint8Array(wanted.length + 1));
  const set = characterSet(wanted, 0, wanted.length);
  const found: { readonly index: number; readonly rank: number }[] = [];
  for (let i = 0; i < candidates.length; i++) {
    const index = candidates[i] as number;
    const start = column.start(index);
    const end = column.end(index);
    if (Math.abs(end - start - wanted.length) <= reach && bitCount(set ^ (sets[i] as number)) <= reach * 2) {
      const distance = distanceWithin(reach, rows, wanted, column.names, start, end);
      if (distance <= reach) found.push({ index, rank: distance });
    } else if (found.length < 64 && startsWith(column, index, wanted)) found.push({ index, rank: reach + 1 });
  }
  return found.sort((a, b) => a.rank - b.rank || a.index - b.index).map((each) => each.index);
}
