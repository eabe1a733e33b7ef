import { refuse } from '../malformed.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { type RawSymbols, symbolName } from '../raw-symbols.ts';
import type { CodeRanges } from './code-ranges.ts';
import { entriesOf, relative, tableBetween } from './table-bytes.ts';

/** struct static_call_site (include/linux/static_call_types.h): s32 addr, s32 key; bit 0 of the key: tail call, bit 1: in init text. */
const ENTRY_SIZE = 8;
const KEY_FLAGS = 3n;
const TAIL = 1n;
/** `jmp rel32` (or `ret`, NOPs) and the ud1 that marks a trampoline (arch/x86/include/asm/static_call.h). */
const TRAMPOLINE_SIZE = 8;
const TRAMPOLINE_PREFIX = '__SCT__';

export interface StaticCallColumns {
  readonly site: Uint32Array;
  readonly size: Uint8Array;
  readonly key: BigUint64Array;
  readonly isTail: Uint8Array;
}

/** Length of the instruction on disk: call or jmp rel32 5, jcc rel32 6; undefined for anything else. */
function siteSize(code: CodeRanges, offset: number): 5 | 6 | undefined {
  const first = code.u8(offset);
  if (first === 0xe8 || first === 0xe9) return 5;
  const second = code.u8(offset + 1);
  return first === 0x0f && second !== undefined && (second & 0xf0) === 0x80 ? 6 : undefined;
}

/** `.static_call_sites` sorted by site. */
export function readStaticCalls(kernel: RawKernel, code: CodeRanges): StaticCallColumns {
  const table = tableBetween(kernel, '.static_call_sites', '__start_static_call_sites', '__stop_static_call_sites');
  const count = table === undefined ? 0 : entriesOf(table, ENTRY_SIZE);
  const columns = {
    site: new Uint32Array(count),
    size: new Uint8Array(count),
    key: new BigUint64Array(count),
    isTail: new Uint8Array(count),
  };
  if (table === undefined) return columns;
  const places = Uint32Array.from({ length: count }, (_, i) => relative(table, i * ENTRY_SIZE));
  const order = Uint32Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => (places[a] as number) - (places[b] as number),
  );
  for (const [i, entry] of order.entries()) {
    const at = entry * ENTRY_SIZE;
    const site = places[entry] as number;
    const size = siteSize(code, site);
    if (size === undefined || !code.contains(site, size)) {
      refuse(
        '.static_call_sites',
        table.offset + at,
        `entry ${entry} points to ${kernel.describe(site)}, where no call or jump is`,
      );
    }
    const key = kernel.base + BigInt(table.offset + at + 4) + BigInt(table.view.s32(at + 4));
    columns.site[i] = site;
    columns.size[i] = size;
    columns.key[i] = key & ~KEY_FLAGS;
    columns.isTail[i] = Number(key & TAIL);
  }
  return columns;
}

/** Starts of the `__SCT__*` trampolines, ascending; each is {@link TRAMPOLINE_SIZE} bytes, less where code ends sooner. */
export function readTrampolines(
  kernel: RawKernel,
  symbols: RawSymbols,
  code: CodeRanges,
): { starts: Uint32Array; ends: Uint32Array } {
  const starts: number[] = [];
  const prefix = Buffer.from(TRAMPOLINE_PREFIX, 'latin1');
  for (let i = 0; i < symbols.count; i++) {
    const at = symbols.nameStart[i] as number;
    if (symbols.names[at + 2] !== prefix[2] || !symbolName(symbols, i).startsWith(TRAMPOLINE_PREFIX)) continue;
    const offset = Number((symbols.addresses[i] as bigint) - kernel.base);
    if (offset !== starts.at(-1) && code.contains(offset, TRAMPOLINE_SIZE)) starts.push(offset);
  }
  return { starts: Uint32Array.from(starts), ends: Uint32Array.from(starts, (start) => start + TRAMPOLINE_SIZE) };
}
