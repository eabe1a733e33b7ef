import type { ByteView } from '../byte-view.ts';
import { refuse } from '../malformed.ts';
import { SYMBOLS_MAX } from '../raw-symbols.ts';

/**
 * Where the tables that scripts/kallsyms.c writes lie in a section. Two orders exist, and which one a kernel has is read off the bytes:
 *
 * - 6.4 and later: num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
 * - before: offsets, relative_base (or addresses alone), num_syms, names, markers, seqs_of_names (6.2 on), token_table, token_index
 *
 * Every table starts at a multiple of 8.
 */
export interface KallsymsLayout {
  readonly count: number;
  readonly names: number;
  readonly tokenTable: number;
  readonly tokenIndex: number;
  /** Places where the addresses may be, likelier first. */
  readonly addresses: readonly KallsymsAddresses[];
}

export type KallsymsAddresses =
  | { readonly kind: 'relative'; readonly offsets: number; readonly relativeBase: number }
  | { readonly kind: 'absolute'; readonly at: number };

const TOKENS = 256;
const TOKEN_INDEX_SIZE = TOKENS * 2;
const TOKEN_LENGTH_MAX = 512;
const SYMBOLS_PER_MARKER = 256;
/** Token tables looked behind, and names walked, before a section is taken for a trap: a kernel has one table and under 300,000 names. */
const TOKEN_TABLES_MAX = 8;
const NAMES_WALKED_MAX = 20_000_000;

/** num_syms, one name, one marker and 256 empty tokens: what lies before the token index at the least. */
const TABLES_MIN = 8 + 8 + 8 + 256;

const align8 = (n: number): number => (n + 7) & ~7;

/** True when 256 ascending u16, the first of them 0, stand at `at`. */
function isTokenIndex(view: ByteView, at: number): boolean {
  let previous = 0;
  for (let token = 1; token < TOKENS; token++) {
    const start = view.u16(at + token * 2);
    if (start <= previous) return false;
    previous = start;
  }
  return true;
}

/** True when the 256 strings that the index at `index` describes start at `table`: a NUL before each start and nowhere else. */
function isTokenTable(view: ByteView, table: number, index: number): boolean {
  for (let token = 1; token < TOKENS; token++) {
    const from = table + view.u16(index + (token - 1) * 2);
    const to = table + view.u16(index + token * 2);
    if (view.bytes.indexOf(0, from) !== to - 1) return false;
  }
  return true;
}

/** Start of the token table whose index is at `index`. Its last token is of unknown length, so each possible start is tried. */
function tokenTableBefore(view: ByteView, index: number): number | undefined {
  const last = view.u16(index + (TOKENS - 1) * 2);
  for (let length = 1; length <= TOKEN_LENGTH_MAX; length += 8) {
    const table = index - align8(last + length);
    if (table < 0) return undefined;
    if (isTokenTable(view, table, index)) {
      const end = view.bytes.indexOf(0, table + last);
      if (end >= 0 && align8(end + 1 - table) === index - table) return table;
    }
  }
  return undefined;
}

/** True when the markers of `count` symbols (offset of every 256th name, the first 0) stand at `at`. */
function areMarkers(view: ByteView, at: number, markers: number, namesSize: number): boolean {
  if (view.u32(at) !== 0) return false;
  let previous = 0;
  for (let marker = 1; marker < markers; marker++) {
    const offset = view.u32(at + marker * 4);
    if (offset < previous + SYMBOLS_PER_MARKER * 2 || offset > namesSize) return false;
    previous = offset;
  }
  return true;
}

/** What is left of the work a search may take. */
interface Budget {
  names: number;
}

/** Place after `count` name records from `at`, or undefined when they run past `limit` or disagree with the markers. */
function endOfNames(view: ByteView, at: number, count: number, markersAt: number, budget: Budget): number | undefined {
  let place = at;
  budget.names -= count;
  if (budget.names < 0) refuse('kallsyms_names', at, 'too many places look like names');
  for (let symbol = 0; symbol < count; symbol++) {
    if (symbol % SYMBOLS_PER_MARKER === 0 && view.u32(markersAt + (symbol / SYMBOLS_PER_MARKER) * 4) !== place - at)
      return undefined;
    if (place + 1 >= markersAt) return undefined;
    const first = view.u8(place);
    const length = first < 0x80 ? first : (first & 0x7f) | (view.u8(place + 1) << 7);
    if (length === 0) return undefined;
    place += (first < 0x80 ? 1 : 2) + length;
    if (place > markersAt) return undefined;
  }
  return place;
}

/** True when num_syms at `at` begins tables that end exactly at the token table. */
function isNumSyms(view: ByteView, at: number, tokenTable: number, seqsSize: number, budget: Budget): boolean {
  const count = view.u32(at);
  const names = at + 8;
  const markers = Math.ceil(count / SYMBOLS_PER_MARKER);
  const markersAt = tokenTable - align8(seqsSize) - align8(markers * 4);
  if (markersAt < names + count * 2) return false;
  if (!areMarkers(view, markersAt, markers, markersAt - names)) return false;
  const end = endOfNames(view, names, count, markersAt, budget);
  return end !== undefined && align8(end) === markersAt;
}

function numSymsBefore(view: ByteView, tokenTable: number, budget: Budget): number | undefined {
  for (let at = tokenTable - 24; at >= 0; at -= 8) {
    const count = view.u32(at);
    if (count === 0 || count > SYMBOLS_MAX || count * 2 > tokenTable - at || view.u32(at + 4) !== 0) continue;
    if (isNumSyms(view, at, tokenTable, 0, budget) || isNumSyms(view, at, tokenTable, count * 3, budget)) return at;
  }
  return undefined;
}

function addressTables(numSyms: number, count: number, tokenIndex: number, length: number): KallsymsAddresses[] {
  const after = tokenIndex + TOKEN_INDEX_SIZE;
  const afterBase = after + align8(count * 4);
  const before = numSyms - 8 - align8(count * 4);
  const absolute = numSyms - count * 8;
  return [
    ...(afterBase + 8 <= length ? [{ kind: 'relative', offsets: after, relativeBase: afterBase } as const] : []),
    ...(before >= 0 ? [{ kind: 'relative', offsets: before, relativeBase: numSyms - 8 } as const] : []),
    ...(absolute >= 0 ? [{ kind: 'absolute', at: absolute } as const] : []),
  ];
}

/**
 * Finds the kallsyms tables in a section by their structure: the token index is 256 ascending u16 that describe the 256 strings before it,
 * and everything else lies at computable distances. Undefined when the section has none. Linear in the section's size.
 */
export function findKallsyms(view: ByteView): KallsymsLayout | undefined {
  const last = view.length - TOKEN_INDEX_SIZE;
  const budget = { names: NAMES_WALKED_MAX };
  let tokenTables = 0;
  for (let tokenIndex = TABLES_MIN; tokenIndex <= last; tokenIndex += 8) {
    if (view.u16(tokenIndex) !== 0 || !isTokenIndex(view, tokenIndex)) continue;
    const tokenTable = tokenTableBefore(view, tokenIndex);
    if (tokenTable === undefined) continue;
    if (++tokenTables > TOKEN_TABLES_MAX) refuse('kallsyms_token_table', tokenTable, 'too many tables look like it');
    const numSyms = numSymsBefore(view, tokenTable, budget);
    if (numSyms === undefined) continue;
    const count = view.u32(numSyms);
    return {
      count,
      names: numSyms + 8,
      tokenTable,
      tokenIndex,
      addresses: addressTables(numSyms, count, tokenIndex, view.length),
    };
  }
  return undefined;
}
