/** Maps that an object defines by the types of variables in `.maps`: parse_btf_map_def of tools/lib/bpf/libbpf.c (6.12). */
import { BTF_KIND, stripBtf } from '../../image/index.ts';
import { isMapType, MAP_TYPE_NUMBERS, type MapSpec, type MapType, mapTypeName } from '../maps/index.ts';
import type { ObjectSection } from './elf-file.ts';
import { definedTypes } from './map-types.ts';
import { type DataVariable, memberOf, type ObjectBtf, resolveSize } from './object-btf.ts';
import { type ObjectPlace, refuseBy } from './object-fault.ts';
import { specialField } from './special-fields.ts';

export const MAPS_SECTION = '.maps';
const PAGE_SIZE = 4096;
const POWER_MAX = 1 << 19;
const PIN_NONE = 0;
const PIN_BY_NAME = 1;

/** A map of an object, and where instructions find it. */
export interface ObjectMap {
  readonly spec: MapSpec;
  /** Number of its section. */
  readonly section: number;
  /** Of its definition in `.maps`; undefined for a section of data that is a map as a whole. */
  readonly offset: number | undefined;
  /** LIBBPF_PIN_BY_NAME. */
  readonly isPinned: boolean;
  /** Where the array of its initial elements begins in its section. */
  readonly valuesAt?: number;
}

interface Definition {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  pinning: number;
  keyType: number;
  valueType: number;
  valuesAt: number | undefined;
}

interface Reading {
  readonly btf: ObjectBtf;
  readonly map: string;
  readonly place: ObjectPlace;
}

const wrong = ({ map, place }: Reading, what: string): never =>
  refuseBy('bpf.object.map', 'EINVAL', place, `map ${map}: ${what}`);

/** `__uint(name, N)`: a pointer to an array of N elements. */
function numberOf(reading: Reading, type: number, name: string): number {
  const { types } = reading.btf;
  const pointer = stripBtf(types, type);
  const array = types.kind(pointer) === BTF_KIND.PTR ? types.sizeOrType(pointer) : 0;
  if (types.kind(array) !== BTF_KIND.ARRAY) return wrong(reading, `${name} is not written with __uint`);
  return types.tail(array, 2);
}

/** `__type(name, T)`: a pointer to T. */
function typeOf(reading: Reading, type: number, name: string): { readonly id: number; readonly size: number } {
  const { types } = reading.btf;
  if (types.kind(type) !== BTF_KIND.PTR) return wrong(reading, `${name} is not written with __type`);
  const id = types.sizeOrType(type);
  const size = resolveSize(types, id);
  return size === undefined ? wrong(reading, `type ${id} of its ${name} has no size`) : { id, size };
}

function setSize(reading: Reading, which: 'key' | 'value', known: number, size: number): number {
  if (known !== 0 && known !== size) return wrong(reading, `its ${which} has ${known} bytes and ${size} bytes`);
  return size;
}

/** `__array(values, int(void *))`: functions of a prog array; anything else here would be maps in maps. */
function readValues(reading: Reading, type: number, definition: Definition): void {
  const { types } = reading.btf;
  if (mapTypeName(definition.type) !== 'prog_array')
    wrong(reading, 'values are given, which only a prog_array has here (maps in maps are not built)');
  if (types.kind(type) !== BTF_KIND.ARRAY || types.tail(type, 2) !== 0)
    wrong(reading, 'values is not written with __array');
  const element = stripBtf(types, types.tail(type, 0));
  const pointee = types.kind(element) === BTF_KIND.PTR ? stripBtf(types, types.sizeOrType(element)) : 0;
  if (types.kind(pointee) !== BTF_KIND.FUNC_PROTO) wrong(reading, 'values are not functions');
  definition.valueSize = setSize(reading, 'value', definition.valueSize, 4);
}

function readField(reading: Reading, structure: number, index: number, into: Definition): void {
  const { name, type, bitOffset } = memberOf(reading.btf.types, structure, index);
  switch (name) {
    case 'type':
      into.type = numberOf(reading, type, name);
      break;
    case 'max_entries':
      into.maxEntries = numberOf(reading, type, name);
      break;
    case 'map_flags':
      into.flags = numberOf(reading, type, name);
      break;
    case 'numa_node':
    case 'map_extra':
      numberOf(reading, type, name);
      break;
    case 'pinning':
      into.pinning = numberOf(reading, type, name);
      if (into.pinning !== PIN_NONE && into.pinning !== PIN_BY_NAME) wrong(reading, `pinning ${into.pinning}`);
      break;
    case 'key_size':
    case 'value_size': {
      const which = name === 'key_size' ? 'key' : 'value';
      into[`${which}Size`] = setSize(reading, which, into[`${which}Size`], numberOf(reading, type, name));
      break;
    }
    case 'key':
    case 'value': {
      const { id, size } = typeOf(reading, type, name);
      into[`${name}Size`] = setSize(reading, name, into[`${name}Size`], size);
      into[`${name}Type`] = id;
      break;
    }
    case 'values':
      if (index !== reading.btf.types.vlen(structure) - 1) wrong(reading, 'values is not its last member');
      readValues(reading, type, into);
      into.valuesAt = bitOffset / 8;
      break;
    default:
      wrong(reading, `it has a member ${name === '' ? 'without a name' : name}, which maps do not have`);
  }
}

/** libbpf makes a ring buffer's size a power of two of pages (adjust_ringbuf_sz). */
function ringBufferSize(size: number): number {
  const isRight = size % PAGE_SIZE === 0 && Number.isInteger(Math.log2(size / PAGE_SIZE));
  if (size === 0 || isRight) return size;
  for (let pages = 1; pages <= POWER_MAX; pages *= 2) if (pages * PAGE_SIZE > size) return pages * PAGE_SIZE;
  return size;
}

function typeName(reading: Reading, number: number): MapType {
  const name = mapTypeName(number);
  if (number === 0) return wrong(reading, 'it has no type');
  if (name === undefined || !isMapType(name))
    return refuseBy(
      'bpf.object.map',
      'EOPNOTSUPP',
      reading.place,
      `map ${reading.map} is of type ${name ?? number}, which is not built`,
    );
  return name;
}

/** To the verifier a value is bytes: what the kernel keeps programs from writing to may not be in it. */
function refuseSpecialField({ btf, map, place }: Reading, valueType: number): void {
  const special = specialField(btf.types, valueType);
  if (special === undefined) return;
  refuseBy('bpf.object.map', 'EOPNOTSUPP', place, `map ${map}: its value has ${special}, which is not built`);
}

function defineMap(btf: ObjectBtf, section: ObjectSection, variable: DataVariable): ObjectMap {
  const { types } = btf;
  const reading: Reading = { btf, map: variable.name, place: { section: MAPS_SECTION, offset: variable.offset } };
  if (variable.name === '') wrong(reading, 'it has no name');
  if (variable.isStatic || variable.isExtern) wrong(reading, 'it is not a global variable of this object');
  if (variable.offset + variable.size > section.size) wrong(reading, `its ${variable.size} bytes end past the section`);
  const structure = stripBtf(types, variable.type);
  if (types.kind(structure) !== BTF_KIND.STRUCT) wrong(reading, 'its definition is no structure');
  const read: Definition = {
    type: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    pinning: PIN_NONE,
    keyType: 0,
    valueType: 0,
    valuesAt: undefined,
  };
  for (let index = 0; index < types.vlen(structure); index++) readField(reading, structure, index, read);
  const type = typeName(reading, read.type);
  refuseSpecialField(reading, read.valueType);
  const spec: MapSpec = {
    name: variable.name,
    type,
    keySize: read.keySize,
    valueSize: read.valueSize,
    maxEntries: read.type === MAP_TYPE_NUMBERS.ringbuf ? ringBufferSize(read.maxEntries) : read.maxEntries,
    flags: read.flags,
    section: MAPS_SECTION,
    ...definedTypes(btf, { type, flags: read.flags }, read.keyType, read.valueType),
  };
  return {
    spec,
    section: section.index,
    offset: variable.offset,
    isPinned: read.pinning === PIN_BY_NAME,
    ...(read.valuesAt === undefined ? {} : { valuesAt: variable.offset + read.valuesAt }),
  };
}

/** The maps of `.maps`, in the order of the section. */
export function definedMaps(btf: ObjectBtf, section: ObjectSection | undefined): readonly ObjectMap[] {
  if (section === undefined) return [];
  const data = btf.dataSections.get(MAPS_SECTION);
  if (data === undefined)
    return refuseBy(
      'bpf.object.map',
      'ENOENT',
      { section: MAPS_SECTION, offset: 0 },
      'nothing in .BTF describes its maps: compile with -g',
    );
  return data.variables.map((variable) => defineMap(btf, section, variable));
}
