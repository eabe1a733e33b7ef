/** Global data: each section is an array of one element (bpf_object__init_global_data_maps, tools/lib/bpf/libbpf.c, 6.12). */
import { MAP_FLAGS, MAP_NAME_LENGTH, type MapSpec } from '../maps/index.ts';
import { type ElfFile, type ObjectSection, SHT } from './elf-file.ts';
import type { ObjectMap } from './map-definitions.ts';
import { sectionTypes } from './map-types.ts';
import type { ObjectBtf } from './object-btf.ts';
import { refuseBy } from './object-fault.ts';
import { specialField } from './special-fields.ts';

const KEY_SIZE = 4;
/** KMALLOC_MAX_SIZE, what an element of an array may have (array_map_alloc_check, kernel/bpf/arraymap.c). */
const VALUE_MAX = 4 << 20;
/** Characters that a section's name has at least in a map's. */
const SUFFIX_MIN = 7;

type DataKind = 'data' | 'rodata' | 'bss';

/** `.data`, `.data.NAME` and so on. */
function dataKind({ name, type }: ObjectSection): DataKind | undefined {
  const kind = /^\.(data|rodata|bss)(?:\.|$)/.exec(name)?.[1] as DataKind | undefined;
  if (kind === undefined) return undefined;
  return type === (kind === 'bss' ? SHT.NOBITS : SHT.PROGBITS) ? kind : undefined;
}

/**
 * Up to 8 characters of the object's name in front of the section's; a section of two dots stands alone (internal_map_name).
 */
export function dataMapName(object: string, section: string): string {
  const suffix = Math.min(Math.max(SUFFIX_MIN, section.length), MAP_NAME_LENGTH - 1);
  const prefix = section.indexOf('.', 1) >= 0 ? 0 : MAP_NAME_LENGTH - 1 - suffix;
  return `${object.slice(0, prefix)}${section.slice(0, suffix)}`.replace(/[^A-Za-z0-9_.]/g, '_');
}

export interface DataMapRequest {
  readonly object: string;
  readonly section: string;
  readonly size: number;
  readonly isReadOnly: boolean;
  readonly isMmapable: boolean;
  /** Of the object that has the section; `.kconfig` is its loader's own. */
  readonly btf: ObjectBtf;
  readonly initial?: Uint8Array;
}

/** What a section of data is as a map; of read-only data nobody changes anything any more. */
export function dataMap(request: DataMapRequest): MapSpec {
  const { object, section, size, isReadOnly, isMmapable, btf, initial } = request;
  if (size > VALUE_MAX)
    refuseBy('bpf.object.map', 'E2BIG', { section, offset: 0 }, `${size} bytes of data, at most ${VALUE_MAX}`);
  const flags = (isReadOnly ? MAP_FLAGS.BPF_F_RDONLY_PROG : 0) | (isMmapable ? MAP_FLAGS.BPF_F_MMAPABLE : 0);
  return {
    name: dataMapName(object, section),
    type: 'array',
    keySize: KEY_SIZE,
    valueSize: size,
    maxEntries: 1,
    flags,
    section,
    ...(initial === undefined ? {} : { initial }),
    ...(isReadOnly ? { isFrozen: true } : {}),
    ...sectionTypes(btf, { type: 'array', flags }, section),
  };
}

export function globalDataMaps(file: ElfFile, btf: ObjectBtf, object: string): readonly ObjectMap[] {
  return file.sections.flatMap((section): readonly ObjectMap[] => {
    const kind = dataKind(section);
    if (kind === undefined || section.size === 0) return [];
    const described = btf.dataSections.get(section.name);
    for (const { type, name, offset } of described?.variables ?? []) {
      const special = specialField(btf.types, type);
      const place = { section: section.name, offset };
      if (special !== undefined)
        refuseBy('bpf.object.map', 'EOPNOTSUPP', place, `${name} has ${special}, which is not built`);
    }
    const spec = dataMap({
      object,
      section: section.name,
      size: section.size,
      isReadOnly: kind === 'rodata',
      // Only what has variables that are seen outside (map_is_mmapable).
      isMmapable: described?.variables.some(({ isStatic }) => !isStatic) === true,
      btf,
      ...(kind === 'bss' ? {} : { initial: Uint8Array.from(section.bytes) }),
    });
    return [{ spec, section: section.index, offset: undefined, isPinned: false }];
  });
}
