/** A module's file becomes a module that lies in the kernel's memory. */
import { createHash } from 'node:crypto';
import { err, kernelAddress, ok, type Result } from '../../base/index.ts';
import { btfBaseOf } from '../btf/btf-functions.ts';
import { splitBtfFunctions } from '../btf/btf-split.ts';
import { codecOf, decompress, UNPACKED_MAX } from '../codec/decompress.ts';
import type { BtfFunctions, ExportedSymbol, KernelImage } from '../kernel-image.ts';
import { catchingMalformed, ImageFault, refuse } from '../malformed.ts';
import { pristineText } from '../pristine-text.ts';
import type { RawKernel } from '../raw-kernel.ts';
import { type ElfObject, readObject, SHN, sectionNamed } from './elf-object.ts';
import { readExports } from './exports.ts';
import { finalize } from './finalize.ts';
import { areaAt, isInReach, type Layout, layOut, PAGE_SIZE, type Placement } from './layout.ts';
import type { ModuleImage } from './module-image.ts';
import { moduleKernel } from './module-kernel.ts';
import { moduleSymbols } from './module-symbols.ts';
import { moduleTables } from './module-tables.ts';
import { relocate } from './relocate.ts';
import { resolveSymbols } from './resolve.ts';

/** Offsets in struct module do not matter: these two are relocations in `.gnu.linkonce.this_module` by the name of what they point to. */
const INIT = 'init_module';
const EXIT = 'cleanup_module';

/** same_magic: with `__versions` the release is not compared, its symbols' versions are. */
function vermagicFault(object: ElfObject, image: KernelImage): Result<string | undefined> {
  const wanted = image.moduleSupport.vermagic;
  const have = object.modinfo.get('vermagic');
  if (wanted === undefined) return ok(have);
  const refused = (detail: string): Result<never> => err({ errno: 'ENOEXEC', rule: 'module.vermagic', detail });
  if (have === undefined) return refused(`${object.name} has no vermagic; the kernel's is ${JSON.stringify(wanted)}.`);
  const isVersioned = sectionNamed(object, '__versions') !== undefined;
  const compared = (magic: string): string => (isVersioned ? magic.slice(magic.indexOf(' ')) : magic);
  if (compared(have) === compared(wanted)) return ok(have);
  return refused(`${object.name} is built for ${JSON.stringify(have)}, and the kernel is ${JSON.stringify(wanted)}.`);
}

function exportsOf(kernel: RawKernel, module: string): readonly ExportedSymbol[] {
  const columns = readExports(kernel);
  if (columns === undefined) return [];
  const names = Buffer.from(columns.names).toString('latin1').split('\0');
  return columns.address.map((address, i) => ({
    name: names[i] ?? '',
    address: kernelAddress(address),
    isGpl: i >= columns.gplFrom,
    ...(columns.crc[i] === undefined ? {} : { crc: columns.crc[i] }),
    module,
  }));
}

function btfOf(object: ElfObject, image: KernelImage): BtfFunctions | undefined {
  const section = sectionNamed(object, '.BTF');
  if (section === undefined || section.bytes.length === 0) return undefined;
  const base = image.btf === undefined ? undefined : btfBaseOf(image.btf);
  const own = sectionNamed(object, '.BTF.base');
  // Types of a module built elsewhere refer to a distilled base of their own, which Linux then relocates to the kernel's.
  if (own !== undefined) return undefined;
  return splitBtfFunctions(section.bytes, base);
}

const has = (object: ElfObject, name: string): boolean =>
  object.symbols.some((symbol) => symbol.name === name && symbol.shndx !== SHN.UNDEF);

interface Building {
  readonly file: Uint8Array;
  readonly object: ElfObject;
  readonly image: KernelImage;
  readonly layout: Layout;
  readonly placement: Placement;
}

function build(
  { file, object, image, layout, placement }: Building,
  values: readonly bigint[],
  uses: readonly string[],
): ModuleImage {
  relocate({ object, image, layout, values });
  const own = new Map<string, bigint>();
  for (const [i, { name, shndx }] of object.symbols.entries())
    if (shndx !== SHN.UNDEF && !own.has(name)) own.set(name, values[i] as bigint);
  const kernel = moduleKernel(image, layout, own);
  const exports = exportsOf(kernel, object.name);
  const { text, counts } = finalize(image, kernel, layout, () => placement.allocate('text', PAGE_SIZE));
  const symbols = moduleSymbols(image, object, layout, values, new Set(exports.map(({ name }) => name)));
  const tables = moduleTables(image, kernel, text, symbols);
  const patched = new Map(text.map((area) => [area.start, area.bytes]));
  const areas = layout.areas.map((area) => ({ ...area, bytes: patched.get(area.start) ?? area.bytes }));
  return {
    ...tables,
    name: object.name,
    sha256: createHash('sha256').update(file).digest('hex'),
    fileSize: file.length,
    vermagic: object.modinfo.get('vermagic'),
    license: object.modinfo.get('license'),
    isLivepatch: object.modinfo.has('livepatch'),
    areas,
    sections: layout.sections,
    pristine: pristineText(text),
    exports,
    uses,
    perCpu: { size: layout.perCpu.size, address: layout.perCpu.address },
    canUnload: !has(object, INIT) || has(object, EXIT),
    btf: btfOf(object, image),
    counts,
    readData: (offset, length) => {
      const found = areaAt(areas, offset, length);
      return found?.area.bytes.subarray(found.at, found.at + length);
    },
  };
}

export interface LoadModule {
  /** The ELF of a .ko (unpackModule). */
  readonly file: Uint8Array;
  /** The kernel, with the modules that are loaded. */
  readonly image: KernelImage;
  readonly placement: Placement;
}

/**
 * load_module up to the point where the module's code may run. Pure: where it lies follows from `placement`.
 *
 * Errors: `module.malformed` ENOEXEC (names section and offset), `module.vermagic` ENOEXEC, `module.symbol.unknown` ENOENT, `module.symbol.version` EINVAL.
 */
export function loadModuleImage({ file, image, placement }: LoadModule): Result<ModuleImage> {
  const loaded = catchingMalformed((): Result<ModuleImage> => {
    const object = readObject(file);
    if (!object.ok) throw new ImageFault(object.fault);
    const vermagic = vermagicFault(object.value, image);
    if (!vermagic.ok) return vermagic;
    const layout = layOut(object.value, placement);
    if (!isInReach(image, layout.areas)) refuse('ELF sections', 0, 'the module does not fit the area of modules');
    const resolved = resolveSymbols(object.value, image, layout);
    if (!resolved.ok) return resolved;
    const building = { file, object: object.value, image, layout, placement };
    return ok(build(building, resolved.value.values, resolved.value.uses));
  });
  if (!loaded.ok) return err({ ...loaded.fault, errno: 'ENOEXEC', rule: 'module.malformed' });
  return loaded.value;
}

/** The name that a module calls itself by, before anything else is looked at. */
export function moduleName(file: Uint8Array): Result<string> {
  const object = readObject(file);
  return object.ok ? ok(object.value.name) : err({ ...object.fault, errno: 'ENOEXEC', rule: 'module.malformed' });
}

/** Largest size that an unpacked module may have. */
const MODULE_MAX = 64 << 20;

/** A .ko as it is, or what .ko.xz and .ko.gz unpack to. zstd files do not tell their size in a way that is read here. */
export async function unpackModule(file: Uint8Array): Promise<Result<Uint8Array>> {
  const codec = codecOf(file);
  if (codec === undefined) return ok(file);
  const size = unpackedSize(codec, file);
  const refused = (detail: string): Result<never> => err({ errno: 'ENOEXEC', rule: 'module.malformed', detail });
  if (size === undefined) return refused(`a module packed with ${codec}: .ko, .ko.xz and .ko.gz are read`);
  if (size > Math.min(MODULE_MAX, UNPACKED_MAX)) return refused(`unpacks to ${size} bytes, more than ${MODULE_MAX}`);
  const unpacked = await decompress(codec, file, size);
  return unpacked.ok ? unpacked : refused(unpacked.fault.detail);
}

/** Unpacked size as the file tells it: gzip in its last four bytes, xz in its index. */
function unpackedSize(codec: string, file: Uint8Array): number | undefined {
  if (codec === 'gzip' && file.length >= 18)
    return new DataView(file.buffer, file.byteOffset).getUint32(file.length - 4, true);
  return codec === 'xz' ? xzSize(file) : undefined;
}

const XZ_FOOTER = 12;

/** Sum of the uncompressed sizes in the index of a single-stream .xz (xz-file-format 4.3). */
function xzSize(file: Uint8Array): number | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (file.length < 2 * XZ_FOOTER || file[file.length - 2] !== 0x59 || file[file.length - 1] !== 0x5a) return undefined;
  const indexSize = (view.getUint32(file.length - 8, true) + 1) * 4;
  let at = file.length - XZ_FOOTER - indexSize;
  if (at < 0 || file[at] !== 0) return undefined;
  at += 1;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = file[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
    return value;
  };
  const records = varint();
  let total = 0;
  for (let i = 0; i < records && at < file.length; i++) {
    varint();
    total += varint();
  }
  return total;
}
