import { invariant, type KernelAddress, kernelAddress, textOffset } from '../../base/index.ts';
import type { KernelSymbol, SymbolTable } from '../kernel-image.ts';
import { containingIndex, firstIndexOf, indexesOf, upperBound } from '../symbol-index.ts';
import { globMatches, PATTERN_MAX } from './glob.ts';
import { characterSet, nearNames } from './near-names.ts';
import type { SymbolColumns } from './symbol-columns.ts';

/** Symbols are asked for again and again, for each site and each event: each is made when it is first asked for. */
function madeOnce<T>(count: number, make: (index: number) => T): (index: number) => T {
  const made = new Array<T | undefined>(count);
  return (index) => {
    made[index] ??= make(index);
    return made[index];
  };
}

/** The published symbol table over its columns; names become strings only when asked for. */
export function symbolTable(columns: SymbolColumns, base: KernelAddress, end: number): SymbolTable {
  const { count, low, offsets, names, nameStart, types } = columns;
  const text = Buffer.from(names.buffer, names.byteOffset, names.length);
  const nameStartOf = (index: number): number => nameStart[index] as number;
  const nameEndOf = (index: number): number => nameStart[index + 1] as number;
  const nameOf = (index: number): string => text.toString('latin1', nameStartOf(index), nameEndOf(index));
  const addressOf = (index: number): bigint =>
    index < low.length ? (low[index] as bigint) : base + BigInt(offsets[index - low.length] as number);
  /** The next higher address; behind the last symbol, the image's end. */
  const nextAddress = (address: bigint): bigint => {
    const lowAfter = upperBound(low, address);
    if (lowAfter < low.length) return low[lowAfter] as bigint;
    if (address < base && offsets.length > 0) return base + BigInt(offsets[0] as number);
    const after = upperBound(offsets, Number(address - base));
    const next = after < offsets.length ? (offsets[after] as number) : Math.max(end, Number(address - base));
    return base + BigInt(next);
  };
  const at = madeOnce(count, (index: number): KernelSymbol => {
    invariant(Number.isInteger(index) && index >= 0 && index < count, () => `symbol ${index} of ${count}`);
    const address = addressOf(index);
    return {
      name: nameOf(index),
      address: kernelAddress(address),
      offset: index < low.length ? undefined : textOffset(offsets[index - low.length] as number),
      size: Number(nextAddress(address) - address),
      type: String.fromCharCode(types[index] as number),
    };
  });
  let sets: Uint32Array | undefined;
  const characterSets = (): Uint32Array => {
    sets ??= columns.functions.map((index) => characterSet(names, nameStartOf(index), nameEndOf(index)));
    return sets;
  };
  return {
    count,
    functionCount: columns.functions.length,
    at,
    byName: (name) => Array.from(indexesOf(columns, columns.chains, name), at),
    containing: (offset) => {
      const index = containingIndex(offsets, offset);
      if (index === undefined) return undefined;
      const symbol = at(low.length + index);
      return offset < (symbol.offset as number) + symbol.size ? symbol : undefined;
    },
    offsetOf: (name) => {
      const index = firstIndexOf(columns, columns.chains, name);
      return index === undefined || index < low.length ? undefined : textOffset(offsets[index - low.length] as number);
    },
    matching,
    near: (name, limit) => {
      const column = { names, start: nameStartOf, end: nameEndOf };
      const found = nearNames(column, columns.functions, characterSets(), name, limit);
      return [...new Set(found.map(nameOf))].slice(0, limit);
    },
  };

  function* matching(pattern: string): Iterable<KernelSymbol> {
    if (pattern.length > PATTERN_MAX) return;
    const wanted = Buffer.from(pattern, 'latin1');
    for (const index of columns.functions) {
      if (globMatches(wanted, names, nameStartOf(index), nameEndOf(index))) yield at(index);
    }
  }
}
