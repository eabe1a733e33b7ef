/**
 * Addresses of a module's symbols, its own and those that it takes from the kernel and from other modules.
 * Source: kernel/module/main.c simplify_symbols, resolve_symbol, find_symbol; kernel/module/version.c check_version (6.12; 6.1 alike).
 */
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { byteView } from '../byte-view.ts';
import type { ExportedSymbol, KernelImage } from '../kernel-image.ts';
import { type ElfObject, type ObjectSymbol, SHN, sectionNamed } from './elf-object.ts';
import type { Layout } from './layout.ts';

/** struct modversion_info: unsigned long crc, char name[56]. */
const VERSION_SIZE = 64;
const VERSION_NAME = 8;
const GPL_COMPATIBLE = ['GPL', 'GPL v2', 'GPL and additional rights', 'Dual BSD/GPL', 'Dual MIT/GPL', 'Dual MPL/GPL'];

export interface Resolved {
  /** st_value of each symbol once it is an address. */
  readonly values: readonly bigint[];
  /** Names of loaded modules whose symbols are used. */
  readonly uses: readonly string[];
}

const fault = (errno: Fault['errno'], rule: string, detail: string): Fault => ({ errno, rule, detail });

/** CRCs that the module was built with, by symbol; undefined when it has no `__versions`. */
function versionsOf(object: ElfObject): ReadonlyMap<string, number> | undefined {
  const section = sectionNamed(object, '__versions');
  if (section === undefined) return undefined;
  const view = byteView(section.bytes, '__versions');
  const found = new Map<string, number>();
  for (let at = 0; at + VERSION_SIZE <= view.length; at += VERSION_SIZE) {
    const name = Buffer.from(view.slice(at + VERSION_NAME, VERSION_SIZE - VERSION_NAME)).toString('latin1');
    found.set(name.slice(0, Math.max(0, name.indexOf('\0'))), view.u32(at));
  }
  return found;
}

/** Where the image has no `__ksymtab`, what kallsyms has counts as exported. */
function findSymbol(image: KernelImage, name: string): ExportedSymbol | undefined {
  const { moduleSupport, symbols } = image;
  const found = moduleSupport.exported(name);
  if (found !== undefined || moduleSupport.hasExports) return found;
  const symbol = symbols.byName(name)[0];
  return symbol === undefined ? undefined : { name, address: symbol.address, isGpl: false };
}

interface Taking {
  readonly image: KernelImage;
  readonly object: ElfObject;
  readonly versions: ReadonlyMap<string, number> | undefined;
  readonly uses: Set<string>;
}

function undefinedSymbol({ image, object, versions, uses }: Taking, symbol: ObjectSymbol): Result<bigint> {
  const { name } = symbol;
  const found = findSymbol(image, name);
  const isGplModule = GPL_COMPATIBLE.includes(object.modinfo.get('license') ?? '');
  if (found === undefined || (found.isGpl && !isGplModule)) {
    if (symbol.isWeak) return ok(0n);
    const isThere = found !== undefined || image.symbols.byName(name).length > 0;
    const why = found?.isGpl
      ? 'it is exported to GPL modules only'
      : isThere
        ? 'it is a symbol of the kernel and not exported'
        : 'neither the kernel nor a loaded module has it';
    return err(fault('ENOENT', 'module.symbol.unknown', `${object.name} needs ${name}: ${why}.`));
  }
  const wanted = versions?.get(name);
  if (wanted !== undefined && found.crc !== undefined && wanted !== found.crc) {
    const crc = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
    return err(
      fault(
        'EINVAL',
        'module.symbol.version',
        `${object.name} was built against another ${name}: version ${crc(wanted)}, the kernel's is ${crc(found.crc)}.`,
      ),
    );
  }
  if (found.module !== undefined) uses.add(found.module);
  return ok(found.address);
}

export function resolveSymbols(object: ElfObject, image: KernelImage, layout: Layout): Result<Resolved> {
  const taking: Taking = { image, object, versions: versionsOf(object), uses: new Set() };
  const values: bigint[] = [];
  for (const [i, symbol] of object.symbols.entries()) {
    const start = symbol.shndx === layout.perCpu.index ? undefined : layout.startOf[symbol.shndx];
    if (i === 0 || symbol.shndx === SHN.ABS || symbol.shndx === SHN.LIVEPATCH) values.push(symbol.value);
    else if (symbol.shndx === SHN.COMMON)
      return err(
        fault('ENOEXEC', 'module.malformed', `${object.name} was built with -fcommon: ${symbol.name} has no section.`),
      );
    else if (symbol.shndx === SHN.UNDEF) {
      const value = undefinedSymbol(taking, symbol);
      if (!value.ok) return value;
      values.push(value.value);
    } else if (symbol.shndx === layout.perCpu.index) values.push(layout.perCpu.address + symbol.value);
    else values.push(start === undefined ? symbol.value : image.base + BigInt(start) + symbol.value);
  }
  return ok({ values, uses: [...taking.uses].sort() });
}
