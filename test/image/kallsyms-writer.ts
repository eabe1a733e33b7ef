import { byteWriter } from './byte-writer.ts';

export interface WrittenSymbol {
  readonly name: string;
  readonly address: bigint;
  /** nm letter. */
  readonly type: string;
}

/** The orders that scripts/kallsyms.c has had: of Linux 6.1, of 6.1 stable and 6.2 (with seqs_of_names), and of 6.4 and later. */
export type KallsymsOrder = 'before' | 'before-seqs' | 'after';

/** How addresses are kept: CONFIG_KALLSYMS_BASE_RELATIVE with and without ABSOLUTE_PERCPU, and neither. */
export type KallsymsAddressing = 'percpu' | 'relative' | 'absolute';

/** Tokens of several characters; they take the codes of characters that names never have. */
const LONG_TOKENS = ['tcp_', '__', '_text', 'start', 'stop', 'site', 'fn_', 'Tfn_', 'pfx_', 'T__'];
const LETTERS = /[A-Za-z0-9_.$]/;

function tokenTable(): readonly string[] {
  const tokens: string[] = [];
  let next = 0;
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code);
    tokens.push(LETTERS.test(character) ? character : (LONG_TOKENS[next++] ?? ''));
  }
  return tokens;
}

function encode(tokens: readonly string[], text: string): number[] {
  const codes: number[] = [];
  for (let at = 0; at < text.length; ) {
    let best = -1;
    tokens.forEach((token, code) => {
      if (token !== '' && text.startsWith(token, at) && (best < 0 || token.length > (tokens[best] as string).length))
        best = code;
    });
    if (best < 0) throw new Error(`no token for ${text.slice(at)}`);
    codes.push(best);
    at += (tokens[best] as string).length;
  }
  return codes;
}

/** The kallsyms tables of these symbols (which must ascend), each table at a multiple of 8. `base`: kallsyms_relative_base. */
export function writeKallsyms(
  symbols: readonly WrittenSymbol[],
  base: bigint,
  order: KallsymsOrder,
  addressing: KallsymsAddressing,
): Uint8Array {
  const out = byteWriter();
  const tokens = tokenTable();
  const addresses = (): void => {
    if (addressing === 'absolute') {
      for (const symbol of symbols) out.u64(symbol.address);
      return;
    }
    for (const { address } of symbols) {
      const isLow = address < base;
      const offset = addressing === 'relative' ? address - base : isLow ? address : base - 1n - address;
      out.u32(Number(BigInt.asUintN(32, offset)));
    }
    out.align(8).u64(base);
  };
  const seqs = (): void => {
    symbols.forEach((_, i) => {
      out.bytes([i >> 16, (i >> 8) & 255, i & 255]);
    });
    out.align(8);
  };
  if (order !== 'after') addresses();
  out.u32(symbols.length).align(8);
  const markers: number[] = [];
  const names = out.length;
  symbols.forEach((symbol, i) => {
    if (i % 256 === 0) markers.push(out.length - names);
    const codes = encode(tokens, symbol.type + symbol.name);
    if (codes.length < 0x80) out.u8(codes.length);
    else out.u8((codes.length & 0x7f) | 0x80).u8(codes.length >> 7);
    out.bytes(codes);
  });
  out.align(8);
  for (const marker of markers) out.u32(marker);
  out.align(8);
  if (order === 'before-seqs') seqs();
  const starts: number[] = [];
  const table = out.length;
  for (const token of tokens) {
    starts.push(out.length - table);
    out.text(token).u8(0);
  }
  out.align(8);
  for (const start of starts) out.u16(start);
  out.align(8);
  if (order === 'after') {
    addresses();
    seqs();
  }
  return out.done();
}
