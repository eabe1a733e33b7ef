/** Source: arch/x86/kernel/module.c __write_relocate_add; kernel/module/main.c apply_relocations (6.12; 6.1 alike). */
import { byteView } from '../byte-view.ts';
import type { ElfSection } from '../elf.ts';
import type { KernelImage } from '../kernel-image.ts';
import { refuse } from '../malformed.ts';
import { type ElfObject, SHN } from './elf-object.ts';
import { areaAt, type Layout } from './layout.ts';

const SHT_RELA = 4;
const SHT_REL = 9;
const RELA_SIZE = 24;
const R = { NONE: 0, X64: 1, PC32: 2, PLT32: 4, X32: 10, X32S: 11, PC64: 24 } as const;

interface Kind {
  readonly size: 4 | 8;
  readonly isRelative: boolean;
  /** Whether the value fits the field. */
  fits(value: bigint): boolean;
}

const KINDS: ReadonlyMap<number, Kind> = new Map<number, Kind>([
  [R.X64, { size: 8, isRelative: false, fits: () => true }],
  [R.X32, { size: 4, isRelative: false, fits: (value) => BigInt.asUintN(64, value) >> 32n === 0n }],
  [R.X32S, { size: 4, isRelative: false, fits: (value) => BigInt.asIntN(64, value) === BigInt.asIntN(32, value) }],
  // Linux does not look; a branch that does not reach would go anywhere.
  [R.PC32, { size: 4, isRelative: true, fits: (value) => BigInt.asIntN(64, value) === BigInt.asIntN(32, value) }],
  [R.PLT32, { size: 4, isRelative: true, fits: (value) => BigInt.asIntN(64, value) === BigInt.asIntN(32, value) }],
  [R.PC64, { size: 8, isRelative: true, fits: () => true }],
]);

interface Relocating {
  readonly object: ElfObject;
  readonly image: KernelImage;
  readonly layout: Layout;
  readonly values: readonly bigint[];
}

interface Field {
  readonly name: string;
  readonly start: number;
  readonly size: number;
  readonly data: DataView;
}

/** Memory of the section that a table changes; undefined when it is not loaded. */
function fieldOf({ object, layout }: Relocating, table: ElfSection): Field | undefined {
  const target = object.sections[table.info];
  const start = layout.startOf[table.info];
  if (target === undefined)
    return refuse(table.name, 0, `relocates section ${table.info} of ${object.sections.length}`);
  if (start === undefined || target.size === 0) return undefined;
  const found = areaAt(layout.areas, start, target.size);
  if (found === undefined || target.bytes.length === 0)
    return refuse(table.name, 0, `relocates ${target.name}, which has no contents`);
  const { bytes } = found.area;
  return {
    name: target.name,
    start,
    size: target.size,
    data: new DataView(bytes.buffer, bytes.byteOffset + found.at, target.size),
  };
}

function write(
  { name, data }: Field,
  kind: Kind,
  place: number,
  result: bigint,
  complain: (what: string) => never,
): void {
  const before = kind.size === 8 ? data.getBigUint64(place, true) : BigInt(data.getUint32(place, true));
  if (before !== 0n) complain(`0x${place.toString(16)} of ${name} is not zero before it is relocated`);
  if (kind.size === 8) data.setBigUint64(place, BigInt.asUintN(64, result), true);
  else data.setUint32(place, Number(BigInt.asUintN(32, result)), true);
}

function relocateSection(relocating: Relocating, table: ElfSection): void {
  const { object, image, values } = relocating;
  const field = fieldOf(relocating, table);
  if (field === undefined) return;
  const view = byteView(table.bytes, table.name);
  for (let at = 0; at + RELA_SIZE <= view.length; at += RELA_SIZE) {
    const complain = (what: string): never => refuse(table.name, at, what);
    const place = view.size(at);
    const info = view.u64(at + 8);
    const type = Number(info & 0xffff_ffffn);
    const symbol = Number(info >> 32n);
    if (type === R.NONE) continue;
    const kind = KINDS.get(type) ?? complain(`relocation type ${type} is unknown`);
    if (place + kind.size > field.size) complain(`0x${place.toString(16)} lies outside ${field.name}`);
    const value = values[symbol] ?? complain(`symbol ${symbol} of ${values.length}`);
    if (object.symbols[symbol]?.shndx === SHN.LIVEPATCH) continue;
    const here = kind.isRelative ? image.base + BigInt(field.start + place) : 0n;
    const result = value + BigInt.asIntN(64, view.u64(at + 16)) - here;
    const name = object.symbols[symbol]?.name || 'a section';
    if (!kind.fits(result)) complain(`the address of ${name} does not fit ${kind.size} bytes`);
    write(field, kind, place, result, complain);
  }
}

/** Writes all relocations of loaded sections into the areas. */
export function relocate(relocating: Relocating): void {
  for (const section of relocating.object.sections) {
    if (section.type === SHT_REL && relocating.layout.startOf[section.info] !== undefined)
      refuse(section.name, 0, 'relocations without addends');
    if (section.type === SHT_RELA) relocateSection(relocating, section);
  }
}
