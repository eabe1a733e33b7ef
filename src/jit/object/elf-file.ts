/** An object's sections and symbols, as bpf_object__elf_collect goes over them (tools/lib/bpf/libbpf.c, 6.12). */
import { type ElfSection, readElf } from '../../image/index.ts';
import { refuse, taken } from './object-fault.ts';
import { sectionView } from './section-view.ts';

export const SHT = { PROGBITS: 1, SYMTAB: 2, STRTAB: 3, RELA: 4, NOBITS: 8, REL: 9 } as const;
export const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2, SECTION: 3 } as const;
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2 } as const;
export const SHN_UNDEF = 0;
const SHN_LORESERVE = 0xff00;
const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 16;

export interface ObjectSection extends ElfSection {
  readonly index: number;
}

export interface ObjectSymbol {
  readonly index: number;
  /** Of a section's symbol: the section's. */
  readonly name: string;
  readonly type: number;
  readonly binding: number;
  /** STV_HIDDEN or STV_INTERNAL: not seen outside its object, so that the verifier takes it for static. */
  readonly isHidden: boolean;
  /** Its section's number; 0: it is not defined here. */
  readonly section: number;
  readonly value: number;
  readonly size: number;
}

export interface Relocation {
  /** Place in the section that it changes. */
  readonly offset: number;
  /** R_BPF_*. */
  readonly type: number;
  readonly symbol: ObjectSymbol;
  /** Where it stands itself. */
  readonly place: { readonly section: string; readonly offset: number };
}

export interface ElfFile {
  readonly sections: readonly ObjectSection[];
  readonly symbols: readonly ObjectSymbol[];
}

function readSymbols(sections: readonly ObjectSection[]): readonly ObjectSymbol[] {
  const tables = sections.filter((section) => section.type === SHT.SYMTAB);
  const [table] = tables;
  if (table === undefined || tables.length > 1)
    return refuse('.symtab', 0, `${tables.length} symbol tables, not one: was the object stripped?`);
  const names = sections[table.link];
  if (table.link === 0 || names === undefined)
    return refuse('.symtab', 0, `its names are in section ${table.link} of ${sections.length}`);
  if (table.entrySize !== SYMBOL_SIZE) return refuse('.symtab', 0, `symbols of ${table.entrySize} bytes`);
  const view = sectionView(table.bytes, table.name);
  const strings = sectionView(names.bytes, names.name);
  return Array.from({ length: Math.floor(view.length / SYMBOL_SIZE) }, (_, index) => {
    const at = index * SYMBOL_SIZE;
    const info = view.u8(at + 4);
    const section = view.u16(at + 6);
    if (section >= sections.length && section < SHN_LORESERVE)
      refuse(table.name, at, `symbol ${index} is in section ${section} of ${sections.length}`);
    const type = info & 15;
    const name = view.u32(at);
    const isNameless = type === STT.SECTION && name === 0;
    return {
      index,
      name: isNameless ? (sections[section]?.name ?? '') : strings.string(name),
      type,
      binding: info >> 4,
      isHidden: (view.u8(at + 5) & 3) === 1 || (view.u8(at + 5) & 3) === 2,
      section,
      value: view.size(at + 8),
      size: view.size(at + 16),
    };
  });
}

export function readElfFile(bytes: Uint8Array): ElfFile {
  const sections = taken(readElf(bytes, 'bpf')).map((section, index) => ({ ...section, index }));
  return { sections, symbols: readSymbols(sections) };
}

export const sectionNamed = ({ sections }: ElfFile, name: string): ObjectSection | undefined =>
  sections.find((section) => section.name === name);

/** Relocations of one section, in the order of the file: clang writes SHT_REL, the addends being in the instructions. */
export function relocationsOf({ sections, symbols }: ElfFile, target: ObjectSection): readonly Relocation[] {
  return sections
    .filter(({ type, info }) => type === SHT.REL && info === target.index)
    .flatMap((section) => {
      if (section.entrySize !== RELOCATION_SIZE)
        refuse(section.name, 0, `relocations of ${section.entrySize} bytes, not ${RELOCATION_SIZE}`);
      const view = sectionView(section.bytes, section.name);
      return Array.from({ length: Math.floor(view.length / RELOCATION_SIZE) }, (_, index) => {
        const at = index * RELOCATION_SIZE;
        const offset = view.size(at);
        if (offset >= target.size) refuse(section.name, at, `it changes ${target.name} at 0x${offset.toString(16)}`);
        const number = view.u32(at + 12);
        const symbol = symbols[number];
        if (symbol === undefined) return refuse(section.name, at, `symbol ${number} of ${symbols.length}`);
        return { offset, type: view.u32(at + 8), symbol, place: { section: section.name, offset: at } };
      });
    });
}
