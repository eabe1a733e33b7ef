/** What an object puts into its prog_arrays: relocations of `.maps` (bpf_object__collect_map_relos, tools/lib/bpf/libbpf.c, 6.12). */
import { BPF_INSN_SIZE } from '../bpf/index.ts';
import { type ElfFile, relocationsOf, STT, sectionNamed } from './elf-file.ts';
import { functionAt, type ObjectFunction } from './functions.ts';
import { MAPS_SECTION, type ObjectMap } from './map-definitions.ts';
import { type ObjectPlace, refuseBy } from './object-fault.ts';

/** Bytes of one element of `values` in the file: a pointer. */
const POINTER_SIZE = 8;

export interface ProgramSlot {
  /** By place among the object's maps. */
  readonly map: number;
  readonly index: number;
  readonly program: ObjectFunction;
}

const bad = (place: ObjectPlace, what: string): never => refuseBy('bpf.object.map', 'EINVAL', place, what);

/** The map whose values are at an offset: they stand last in it, so that it is the last one that begins before. */
function mapAt(maps: readonly ObjectMap[], offset: number): number {
  let found = -1;
  for (const [index, { valuesAt, section }] of maps.entries()) {
    if (valuesAt === undefined || valuesAt > offset || section < 0) continue;
    if (found < 0 || valuesAt > (maps[found]?.valuesAt ?? 0)) found = index;
  }
  return found;
}

export function readProgramSlots(
  file: ElfFile,
  functions: readonly ObjectFunction[],
  maps: readonly ObjectMap[],
): readonly ProgramSlot[] {
  const section = sectionNamed(file, MAPS_SECTION);
  if (section === undefined) return [];
  return relocationsOf(file, section).map(({ offset, symbol, place }) => {
    const map = mapAt(maps, offset);
    const { valuesAt = 0, spec } = maps[map] ?? bad(place, `nothing of a map is at 0x${offset.toString(16)}`);
    const index = (offset - valuesAt) / POINTER_SIZE;
    if (!Number.isInteger(index) || index >= spec.maxEntries)
      bad(place, `map ${spec.name} has ${spec.maxEntries} elements, and none at 0x${offset.toString(16)}`);
    const program = functionAt(functions, symbol.section, symbol.value / BPF_INSN_SIZE);
    if (symbol.type !== STT.FUNC || program === undefined || program.isSubprogram)
      return bad(place, `element ${index} of ${spec.name} is ${symbol.name}, which is no program`);
    return { map, index, program };
  });
}
