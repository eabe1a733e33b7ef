import { byteView } from './byte-view.ts';
import type { ElfSection } from './elf.ts';
import { refuse } from './malformed.ts';
import { NAME_MAX, NAMES_SIZE_MAX, type RawSymbols, SYMBOLS_MAX } from './raw-symbols.ts';

const SHT_SYMTAB = 2;
const SYMBOL_SIZE = 24;
const STT_SECTION = 3;
const STT_FILE = 4;
const SHN_ABS = 0xfff1;
const SHN_COMMON = 0xfff2;
const SHT_NOBITS = 8;

const STB_LOCAL = 0;
const STB_WEAK = 2;

/** The letter nm prints (binutils), as far as kallsyms needs it: T text, D data, B bss, R read-only, A absolute, W/V weak. */
function letterOf(binding: number, type: number, shndx: number, section: ElfSection | undefined): number {
  let letter = 'D';
  if (shndx === SHN_ABS) letter = 'A';
  else if (binding === STB_WEAK) return (type === 1 ? 'V' : 'W').charCodeAt(0);
  else if (section?.executable) letter = 'T';
  else if (section?.type === SHT_NOBITS) letter = 'B';
  else if (section !== undefined && !section.writable) letter = 'R';
  return (binding === STB_LOCAL ? letter.toLowerCase() : letter).charCodeAt(0);
}

/** What scripts/kallsyms.c leaves out: mapping symbols, local labels and empty names. */
const isIgnored = (names: Uint8Array, start: number, end: number): boolean =>
  start === end || (names[start] === 0x2e && names[start + 1] === 0x4c) || names[start] === 0x24;

/**
 * .symtab in kallsyms' shape; undefined when the file has none or an empty one. Section and file symbols, undefined ones and local labels are left out.
 */
export function readSymtab(sections: readonly ElfSection[]): RawSymbols | undefined {
  const table = sections.find((s) => s.type === SHT_SYMTAB);
  if (table === undefined) return undefined;
  const strings = sections[table.link]?.bytes;
  if (strings === undefined)
    return refuse('.symtab header', 40, `names in section ${table.link} of ${sections.length}`);
  if (table.entrySize !== SYMBOL_SIZE) refuse('.symtab header', 56, `symbols of ${table.entrySize} bytes`);
  const view = byteView(table.bytes, '.symtab');
  const total = Math.floor(view.length / SYMBOL_SIZE);
  if (total > SYMBOLS_MAX) refuse('.symtab', 0, `${total} symbols`);
  const kept: {
    readonly at: number;
    readonly address: bigint;
    readonly start: number;
    readonly end: number;
    readonly letter: number;
  }[] = [];
  for (let at = SYMBOL_SIZE; at + SYMBOL_SIZE <= view.length; at += SYMBOL_SIZE) {
    const info = view.u8(at + 4);
    const shndx = view.u16(at + 6);
    const type = info & 15;
    if (type === STT_SECTION || type === STT_FILE || shndx === 0 || shndx === SHN_COMMON) continue;
    const start = view.u32(at);
    const end = start < strings.length ? strings.indexOf(0, start) : -1;
    if (end < 0 || end - start > NAME_MAX)
      refuse('.symtab', at, `its name is at 0x${start.toString(16)}, outside the names`);
    if (isIgnored(strings, start, end)) continue;
    kept.push({ at, address: view.u64(at + 8), start, end, letter: letterOf(info >> 4, type, shndx, sections[shndx]) });
  }
  if (kept.length === 0) return undefined;
  kept.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.at - b.at));
  return columns(kept, strings);
}

function columns(
  kept: readonly { readonly address: bigint; readonly start: number; readonly end: number; readonly letter: number }[],
  strings: Uint8Array,
): RawSymbols {
  const addresses = new BigUint64Array(kept.length);
  const nameStart = new Uint32Array(kept.length + 1);
  const types = new Uint8Array(kept.length);
  const size = kept.reduce((sum, symbol) => sum + symbol.end - symbol.start, 0);
  if (size > NAMES_SIZE_MAX) refuse('.symtab', 0, `names of ${size} characters`);
  const names = new Uint8Array(size);
  let out = 0;
  kept.forEach((symbol, index) => {
    addresses[index] = symbol.address;
    types[index] = symbol.letter;
    nameStart[index] = out;
    names.set(strings.subarray(symbol.start, symbol.end), out);
    out += symbol.end - symbol.start;
  });
  nameStart[kept.length] = out;
  return { count: kept.length, addresses, names, nameStart, types };
}
