import type { KernelAddress } from '../../base/index.ts';
import { toOffset } from '../../base/index.ts';
import type { HashChains } from '../byte-hash.ts';
import type { RawSymbols } from '../raw-symbols.ts';

/**
 * Symbols as the published image keeps them: those at and above `_text` (nearly all) by 32-bit offset, those below (per-CPU, absolute) by address.
 */
export interface SymbolColumns {
  readonly count: number;
  /** Addresses of the first symbols, those below `_text`. */
  readonly low: BigUint64Array;
  /** Offsets of the others. */
  readonly offsets: Uint32Array;
  readonly names: Uint8Array;
  readonly nameStart: Uint32Array;
  readonly types: Uint8Array;
  readonly chains: HashChains;
  /** Indexes of the function symbols. */
  readonly functions: Uint32Array;
}

const CODE_LETTERS = new Set(Buffer.from('TtWw'));
const PADDING_PREFIXES = ['__pfx_', '__cfi_'].map((prefix) => Buffer.from(prefix, 'latin1'));

function isPadding(symbols: RawSymbols, index: number): boolean {
  const start = symbols.nameStart[index] as number;
  if (symbols.names[start] !== 0x5f) return false;
  return PADDING_PREFIXES.some((prefix) => prefix.every((byte, i) => symbols.names[start + i] === byte));
}

/** `isText` says whether an offset lies in code that runs. */
export function symbolColumns(
  symbols: RawSymbols,
  chains: HashChains,
  base: KernelAddress,
  isText: (offset: number) => boolean,
): SymbolColumns {
  let first = 0;
  while (first < symbols.count && toOffset(base, symbols.addresses[first] as bigint) === undefined) first++;
  const offsets = Uint32Array.from({ length: symbols.count - first }, (_, i) =>
    Number((symbols.addresses[first + i] as bigint) - base),
  );
  const functions = new Uint32Array(offsets.length);
  let count = 0;
  for (let i = 0; i < offsets.length; i++) {
    const index = first + i;
    if (CODE_LETTERS.has(symbols.types[index] as number) && isText(offsets[i] as number) && !isPadding(symbols, index))
      functions[count++] = index;
  }
  return {
    count: symbols.count,
    low: symbols.addresses.slice(0, first),
    offsets,
    names: symbols.names,
    nameStart: symbols.nameStart,
    types: symbols.types,
    chains,
    functions: functions.slice(0, count),
  };
}
