/** A module's file: sections, symbols and .modinfo, checked as elf_validity_cache_copy does (kernel/module/main.c, 6.12). */
import type { Result } from '../../base/index.ts';
import { byteView } from '../byte-view.ts';
import { type ElfSection, readElf } from '../elf.ts';
import { catchingMalformed, refuse } from '../malformed.ts';

const SHT_SYMTAB = 2;
const SYMBOL_SIZE = 24;
/** A module's symbols number in the thousands, amdgpu's 60,000. */
const SYMBOLS_MAX = 500_000;
const NAME_MAX = 512;
const MODULE_NAME_MAX = 55;

export const SHN = { UNDEF: 0, LIVEPATCH: 0xff20, ABS: 0xfff1, COMMON: 0xfff2, XINDEX: 0xffff } as const;

export interface ObjectSymbol {
  readonly name: string;
  readonly isWeak: boolean;
  readonly shndx: number;
  readonly value: bigint;
}

export interface ElfObject {
  readonly sections: readonly ElfSection[];
  readonly symbols: readonly ObjectSymbol[];
  readonly modinfo: ReadonlyMap<string, string>;
  /** .modinfo's `name`. */
  readonly name: string;
}

export const sectionNamed = (object: ElfObject, name: string): ElfSection | undefined =>
  object.sections.find((section) => section.name === name);

function stringAt(strings: Uint8Array, at: number, symbol: number): string {
  const end = at < strings.length ? strings.indexOf(0, at) : -1;
  if (end < 0 || end - at > NAME_MAX)
    refuse('.symtab', symbol, `its name is at 0x${at.toString(16)}, outside the names`);
  return Buffer.from(strings.buffer, strings.byteOffset + at, end - at).toString('latin1');
}

function readSymbols(sections: readonly ElfSection[]): readonly ObjectSymbol[] {
  const tables = sections.filter((section) => section.type === SHT_SYMTAB);
  const [table] = tables;
  if (table === undefined || tables.length > 1) return refuse('.symtab', 0, `${tables.length} symbol tables, not one`);
  const strings = sections[table.link]?.bytes;
  if (strings === undefined)
    return refuse('.symtab header', 40, `names in section ${table.link} of ${sections.length}`);
  if (table.entrySize !== SYMBOL_SIZE) refuse('.symtab header', 56, `symbols of ${table.entrySize} bytes`);
  const view = byteView(table.bytes, '.symtab');
  const count = Math.floor(view.length / SYMBOL_SIZE);
  if (count > SYMBOLS_MAX) refuse('.symtab', 0, `${count} symbols`);
  return Array.from({ length: count }, (_, i) => {
    const at = i * SYMBOL_SIZE;
    const shndx = view.u16(at + 6);
    const isReal = shndx < sections.length || shndx === SHN.ABS || shndx === SHN.COMMON || shndx === SHN.LIVEPATCH;
    if (!isReal) refuse('.symtab', at, `symbol ${i} is in section ${shndx} of ${sections.length}`);
    return {
      name: stringAt(strings, view.u32(at), at),
      isWeak: view.u8(at + 4) >> 4 === 2,
      shndx,
      value: view.u64(at + 8),
    };
  });
}

/** `key=value`, NUL after each; of several with one key the first counts, as in get_modinfo. */
function readModinfo(sections: readonly ElfSection[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const bytes = sections.find((section) => section.name === '.modinfo')?.bytes ?? new Uint8Array(0);
  for (const text of Buffer.from(bytes).toString('latin1').split('\0')) {
    const at = text.indexOf('=');
    if (at > 0 && !found.has(text.slice(0, at))) found.set(text.slice(0, at), text.slice(at + 1));
  }
  return found;
}

export function readObject(file: Uint8Array): Result<ElfObject> {
  const sections = readElf(file, 'relocatable');
  if (!sections.ok) return sections;
  return catchingMalformed(() => {
    const modinfo = readModinfo(sections.value);
    const name = modinfo.get('name');
    if (name === undefined) return refuse('.modinfo', 0, 'no name: not a module (insmod takes the .ko, not the .o)');
    if (!/^[\w.-]+$/.test(name) || name.length > MODULE_NAME_MAX)
      return refuse('.modinfo', 0, `${JSON.stringify(name)} is no name of a module`);
    return { sections: sections.value, symbols: readSymbols(sections.value), modinfo, name };
  });
}
