import { chained, type HashChains, hashBytes, hashChains, sameBytes } from './byte-hash.ts';
import type { RawSymbols } from './raw-symbols.ts';

type Names = Pick<RawSymbols, 'count' | 'names' | 'nameStart'>;

export function hashNames(symbols: Names): HashChains {
  const { names, nameStart } = symbols;
  return hashChains(symbols.count, (i) => hashBytes(names, nameStart[i] as number, nameStart[i + 1] as number));
}

/** Indexes of all symbols of that name, ascending. */
export function* indexesOf(symbols: Names, chains: HashChains, name: string): Iterable<number> {
  const bytes = Buffer.from(name, 'latin1');
  for (const index of chained(chains, hashBytes(bytes, 0, bytes.length))) {
    const start = symbols.nameStart[index] as number;
    if (sameBytes(symbols.names, start, symbols.nameStart[index + 1] as number, bytes)) yield index;
  }
}

/** Index of the first symbol of that name. */
export function firstIndexOf(symbols: Names, chains: HashChains, name: string): number | undefined {
  for (const index of indexesOf(symbols, chains, name)) return index;
  return undefined;
}

/** Number of values that are not above `value`, in an ascending column. */
export function upperBound<T extends number | bigint>(column: ArrayLike<T>, value: T): number {
  let from = 0;
  let to = column.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((column[middle] as T) <= value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Number of values that are below `value`, in an ascending column. */
export function lowerBound<T extends number | bigint>(column: ArrayLike<T>, value: T): number {
  let from = 0;
  let to = column.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((column[middle] as T) < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Index of the first among those of the greatest value that is not above `value`; undefined when all are above. */
export function containingIndex<T extends number | bigint>(column: ArrayLike<T>, value: T): number | undefined {
  const after = upperBound(column, value);
  return after === 0 ? undefined : lowerBound(column, column[after - 1] as T);
}
