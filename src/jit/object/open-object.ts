/** An object, read and checked; nothing of a kernel is in it yet. */
import type { Result } from '../../base/index.ts';
import { BTF_EXT_SECTION, type BtfExt, readBtfExt } from './btf-ext.ts';
import { globalDataMaps } from './data-maps.ts';
import { type ElfFile, readElfFile, SHT, sectionNamed } from './elf-file.ts';
import { type ObjectFunction, readFunctions } from './functions.ts';
import { definedMaps, MAPS_SECTION, type ObjectMap } from './map-definitions.ts';
import { type ObjectBtf, readObjectBtf } from './object-btf.ts';
import { catchingObjectFault, refuseBy } from './object-fault.ts';

export interface OpenedObject {
  readonly file: ElfFile;
  readonly btf: ObjectBtf;
  readonly ext: BtfExt;
  /** Sorted by section and place. */
  readonly functions: readonly ObjectFunction[];
  readonly maps: readonly ObjectMap[];
  /** Section `license`; empty when there is none, and the kernel then takes programs for not GPL-compatible. */
  readonly license: string;
}

const LICENSE_MAX = 128;
/** Sections that mean something to libbpf and nothing here. */
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['maps', 'maps are defined by BTF, in .maps'],
  ['.struct_ops', 'struct_ops are not built'],
  ['.struct_ops.link', 'struct_ops are not built'],
  ['?.struct_ops', 'struct_ops are not built'],
  ['?.struct_ops.link', 'struct_ops are not built'],
  ['.addr_space.1', 'arenas are not built'],
]);

function licenseOf(file: ElfFile): string {
  const bytes = sectionNamed(file, 'license')?.bytes ?? new Uint8Array();
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, LICENSE_MAX - 1))).toString('latin1');
}

function refuseUnsupported(file: ElfFile): void {
  for (const { name, size, type } of file.sections) {
    const why = UNSUPPORTED.get(name);
    if (why !== undefined && size > 0 && type === SHT.PROGBITS)
      refuseBy('bpf.object.unsupported', 'EOPNOTSUPP', { section: name, offset: 0 }, why);
  }
}

/**
 * Reads an object that clang (`-target bpf`, `-g`) has compiled. `name` is the file's without its ending; maps of global data have it in their names.
 *
 * Faults: EINVAL `bpf.object.malformed`, with section and offset; `bpf.object.unsupported`, `bpf.object.map`, `bpf.object.size`.
 */
export function openBpfObject(bytes: Uint8Array, name: string): Result<OpenedObject> {
  return catchingObjectFault(() => {
    const file = readElfFile(bytes);
    refuseUnsupported(file);
    const btf = readObjectBtf(file);
    const ext = sectionNamed(file, BTF_EXT_SECTION)?.bytes;
    return {
      file,
      btf,
      ext: readBtfExt(ext, btf.types),
      functions: readFunctions(file),
      maps: [...definedMaps(btf, sectionNamed(file, MAPS_SECTION)), ...globalDataMaps(file, btf, name)],
      license: licenseOf(file),
    };
  });
}
