/** Real kernels have 100,000 to 300,000 symbols with 25 characters each; more than these is a corrupted or hostile table. */
export const SYMBOLS_MAX = 2_000_000;
export const NAMES_SIZE_MAX = 128 << 20;
export const NAME_MAX = 2048;

/** Symbols as columns, ascending by address. */
export interface RawSymbols {
  readonly count: number;
  readonly addresses: BigUint64Array;
  /** All names one after another, without separators, in the table's order. */
  readonly names: Uint8Array;
  /** Start of each name in `names`; one more entry than symbols. */
  readonly nameStart: Uint32Array;
  /** nm letters as character codes. */
  readonly types: Uint8Array;
}

export const symbolName = (symbols: RawSymbols, index: number): string =>
  Buffer.from(
    symbols.names.buffer,
    symbols.names.byteOffset + (symbols.nameStart[index] as number),
    (symbols.nameStart[index + 1] as number) - (symbols.nameStart[index] as number),
  ).toString('latin1');
