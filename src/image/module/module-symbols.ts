/**
 * The symbols that kallsyms has of a module.
 * Source: kernel/module/kallsyms.c layout_symtab, add_kallsyms, find_kallsyms_symbol, elf_type (6.12; 6.1 alike).
 */
import { kernelAddress, textOffset, toOffset } from '../../base/index.ts';
import type { KernelImage, KernelSymbol } from '../kernel-image.ts';
import { type ElfObject, SHN } from './elf-object.ts';
import type { Layout } from './layout.ts';
import { isTextArea, type ModuleArea } from './module-image.ts';

const SHT_NOBITS = 8;

/** Local labels and mapping symbols (is_mapping_symbol), and nameless ones. */
const isIgnored = (name: string): boolean => name === '' || /^(?:\$|\.L|L0)/.test(name);

function letterOf(area: ModuleArea, isBss: boolean, isExported: boolean): string {
  const letter = isTextArea(area.kind) ? 't' : isBss ? 'b' : /rodata$/.test(area.kind) ? 'r' : 'd';
  return isExported ? letter.toUpperCase() : letter;
}

/** In the order of the addresses; among aliases, in the order of the file's table. A symbol ends where the next one begins or its area ends. */
export function moduleSymbols(
  image: KernelImage,
  object: ElfObject,
  layout: Layout,
  values: readonly bigint[],
  exported: ReadonlySet<string>,
): readonly KernelSymbol[] {
  const found: {
    readonly offset: number;
    readonly name: string;
    readonly area: ModuleArea;
    readonly isBss: boolean;
  }[] = [];
  for (const [i, { name, shndx }] of object.symbols.entries()) {
    if (shndx === SHN.UNDEF || isIgnored(name)) continue;
    const offset = toOffset(image.base, kernelAddress(values[i] as bigint));
    if (offset === undefined) continue;
    const area = layout.areas.find((each) => offset >= each.start && offset < each.start + each.size);
    if (area !== undefined) found.push({ offset, name, area, isBss: object.sections[shndx]?.type === SHT_NOBITS });
  }
  // The sort is stable.
  found.sort((a, b) => a.offset - b.offset);
  const ends = found.map(({ area }) => area.start + area.size);
  for (let i = found.length - 2; i >= 0; i--) {
    const [here, next] = [found[i]?.offset ?? 0, found[i + 1]?.offset ?? 0];
    ends[i] = Math.min(ends[i] as number, next > here ? next : (ends[i + 1] as number));
  }
  return found.map(({ offset, name, area, isBss }, i) => ({
    name,
    address: kernelAddress(image.base + BigInt(offset)),
    offset: textOffset(offset),
    size: (ends[i] as number) - offset,
    type: letterOf(area, isBss, exported.has(name)),
  }));
}
