/**
 * Maps made and deleted, their elements and records written and read, by what bpf(2) would do. Pure: each answers the next state. Text is not
 * touched.
 */
import { Map as ImmutableMap } from 'immutable';
import { type Errno, err, fromHex, ok, type Result } from '../../base/index.ts';
import {
  checkMapSpec,
  initMap,
  isPerCpu,
  MAP_CPUS,
  MAP_FLAGS,
  MAP_PAGE_SIZE,
  type MapArea,
  type MapShape,
  type MapSpec,
  type MapType,
  type MapValue,
  mapShape,
  mapSize,
  PagedArea,
} from '../../jit/index.ts';
import type { AttachIdentity } from '../model/request.ts';
import type { KernelState } from '../model/state.ts';
import { MAP_ACCESS, MAP_ELEMENT, MAP_IN_USE, MAP_LIMIT, MAP_SIZES, MAP_UNKNOWN, mapFault } from '../rules/map.ts';
import { refuse } from '../rules/rule.ts';
import type { BpfMap } from './state.ts';

const MIB = 1 << 20;
/** Bytes of one map, of a client's, of everybody's; and how many maps there may be. */
export const MAP_LIMITS = { one: 64 * MIB, client: 128 * MIB, all: 512 * MIB, maps: 1_000 } as const;

export interface CreateMapRequest {
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  /** Hex: contents of the one element of an array. */
  readonly initial?: string;
  /** Where `struct bpf_spin_lock` is in a value: what BTF would say. */
  readonly spinLock?: number;
  /** No writes by the system call once it is filled (BPF_MAP_FREEZE). */
  readonly frozen?: boolean;
}

export interface MapChange {
  readonly state: KernelState;
  readonly map: BpfMap;
}

export const mapUnknown = (id: string) => refuse(MAP_UNKNOWN, { detail: `${id} is not a map.` });

/** Where the next map's memory begins: at a multiple of its size, so that it lies in one piece for every CPU. */
function placeFor(state: KernelState, size: number): bigint {
  const alignment = BigInt(2 ** Math.ceil(Math.log2(size)));
  return ((state.nextMap.address + alignment - 1n) / alignment) * alignment;
}

function limitProblem(state: KernelState, { client, tenant }: AttachIdentity, size: number): string | undefined {
  const maps = [...state.maps.values()];
  const sum = (of: readonly BpfMap[]): number => of.reduce((total, { spec }) => total + mapSize(spec), size);
  if (maps.length >= MAP_LIMITS.maps) return `There are ${maps.length} maps.`;
  if (size > MAP_LIMITS.one) return `The map takes ${size} bytes, and one map has at most ${MAP_LIMITS.one}.`;
  const mine = sum(maps.filter((map) => map.client === client && map.tenant === tenant));
  if (mine > MAP_LIMITS.client)
    return `The maps of ${client} would take ${mine} bytes, and may take ${MAP_LIMITS.client}.`;
  const all = sum(maps);
  return all > MAP_LIMITS.all ? `All maps would take ${all} bytes, and may take ${MAP_LIMITS.all}.` : undefined;
}

/** BPF_MAP_CREATE (map_create, kernel/bpf/syscall.c, 6.12). */
export function decideCreateMap(
  state: KernelState,
  request: CreateMapRequest,
  identity: AttachIdentity,
): Result<MapChange> {
  const { name, type, keySize, valueSize, maxEntries, flags = 0, initial, frozen, spinLock } = request;
  const sizes = { keySize, valueSize, maxEntries, flags, isFrozen: frozen === true };
  const spec: MapSpec = { name, type, ...sizes, ...(spinLock === undefined ? {} : { spinLock }) };
  const checked = checkMapSpec(spec);
  if (!checked.ok) return err(mapFault(checked.fault));
  const contents = initial === undefined ? undefined : fromHex(initial);
  if (contents !== undefined && (type !== 'array' || maxEntries !== 1 || contents.length > valueSize)) {
    const detail = `${name}: initial contents are those of an array of one element, and have at most its ${valueSize} bytes.`;
    return err(refuse(MAP_SIZES, { detail }));
  }
  const size = mapSize(spec);
  const problem = limitProblem(state, identity, size);
  if (problem !== undefined) return err(refuse(MAP_LIMIT, { detail: problem }));
  const area = new PagedArea();
  initMap(contents === undefined ? spec : { ...spec, initial: contents }, area, state.nextMap.number);
  const address = placeFor(state, size);
  const map: BpfMap = {
    id: identity.id,
    number: state.nextMap.number,
    spec,
    client: identity.client,
    tenant: identity.tenant,
    sinceMs: identity.nowMs,
    address,
    pages: ImmutableMap(area.written),
  };
  // A page that is not mapped lies between two maps.
  const nextMap = { number: map.number + 1, address: address + BigInt(size + MAP_PAGE_SIZE) };
  return ok({ state: { ...state, maps: state.maps.set(map.id, map), nextMap }, map });
}

export const programsOfMap = (state: Pick<KernelState, 'programs'>, id: string): readonly string[] =>
  [...state.programs.values()].filter(({ maps }) => maps.some((map) => map.id === id)).map((program) => program.id);

/** The map goes, when no program uses it. */
export function decideDeleteMap(state: KernelState, id: string): Result<MapChange> {
  const map = state.maps.get(id);
  if (map === undefined) return err(mapUnknown(id));
  const users = programsOfMap(state, id);
  if (users.length > 0) return err(refuse(MAP_IN_USE, { detail: `${id} is used by ${users.join(', ')}.` }));
  return ok({ state: { ...state, maps: state.maps.delete(id) }, map });
}

/** The state with what was written to a map's memory. */
function written(state: KernelState, map: BpfMap, area: PagedArea): MapChange {
  const next = { ...map, pages: map.pages.merge(area.written) };
  return { state: { ...state, maps: state.maps.set(map.id, next) }, map: next };
}

/** What a run did to maps: bytes at offsets of their memory. */
export interface MapWrite {
  readonly map: string;
  readonly at: number;
  /** Hex. */
  readonly bytes: string;
}

/** Takes over what runs and calls wrote. A map that is gone meanwhile keeps nothing. */
export function decideMapWrites(state: KernelState, writes: readonly MapWrite[]): KernelState {
  let next = state;
  const areas = new Map<string, PagedArea>();
  for (const { map: id, at, bytes } of writes) {
    const map = state.maps.get(id);
    if (map === undefined) continue;
    const area = areas.get(id) ?? new PagedArea(map.pages);
    areas.set(id, area);
    area.write(at, fromHex(bytes) ?? new Uint8Array());
  }
  for (const [id, area] of areas) {
    const map = next.maps.get(id);
    if (map !== undefined) next = written(next, map, area).state;
  }
  return next;
}

export interface UpdateElementRequest {
  /** Hex. */
  readonly key: string;
  /** Hex; of all CPUs, where each has its own. */
  readonly value?: string;
  /** Hex, one for each CPU. */
  readonly values?: readonly string[];
  /** prog_array: the program. */
  readonly program?: string;
  /** BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
  readonly flags?: number;
}

const sizes = (detail: string) => err(refuse(MAP_SIZES, { detail }));

export function readKey({ id, spec }: BpfMap, key: string): Result<Uint8Array> {
  const bytes = fromHex(key);
  if (bytes !== undefined && bytes.length === spec.keySize) return ok(bytes);
  return sizes(`A key of ${id} has ${spec.keySize} bytes, not ${key.length / 2}.`);
}

function readValue({ id, spec }: BpfMap, { value, values }: UpdateElementRequest): Result<MapValue> {
  const given = values ?? (value === undefined ? [] : [value]);
  const bytes = given.map((each) => fromHex(each) ?? new Uint8Array());
  const cpus = isPerCpu(spec.type) ? MAP_CPUS : 1;
  if (bytes.some(({ length }) => length !== spec.valueSize))
    return sizes(`A value of ${id} has ${spec.valueSize} bytes.`);
  const [first] = bytes;
  if (first === undefined || (values !== undefined && bytes.length !== cpus))
    return sizes(`${id} takes ${cpus === 1 ? 'a value' : `a value, or one for each of ${cpus} CPUs`}.`);
  const all = values === undefined ? Array.from({ length: cpus }, () => first) : bytes;
  return ok({ from: 'syscall', bytes: all });
}

const indexOf = (key: Uint8Array): number => new DataView(key.buffer, key.byteOffset, 4).getUint32(0, true);

function updateElement(
  state: KernelState,
  map: BpfMap,
  shape: MapShape,
  area: MapArea,
  request: UpdateElementRequest,
): Result<Errno | undefined> {
  const key = readKey(map, request.key);
  if (!key.ok) return key;
  const flags = BigInt(request.flags ?? 0);
  switch (shape.kind) {
    case 'keyed': {
      const value = readValue(map, request);
      return value.ok ? ok(shape.map.update(area, key.value, value.value, flags)) : value;
    }
    case 'programs': {
      const program = state.programs.get(request.program ?? '');
      if (program === undefined || program.tenant !== map.tenant || program.image === undefined)
        return sizes(`An element of ${map.id} is a program that is loaded into the kernel.`);
      return ok(shape.map.set(area, indexOf(key.value), program.prog, flags));
    }
    case 'perf':
      return ok(flags === 0n ? shape.map.setOpen(area, indexOf(key.value), true) : 'EINVAL');
    default:
      return ok('EINVAL');
  }
}

function deleteElement(map: BpfMap, shape: MapShape, area: MapArea, hexKey: string): Result<Errno | undefined> {
  const key = readKey(map, hexKey);
  if (!key.ok) return key;
  switch (shape.kind) {
    case 'keyed':
      return ok(shape.map.delete(area, key.value));
    case 'programs':
    case 'stacks':
      return ok(shape.map.delete(area, indexOf(key.value)));
    case 'perf':
      return ok(shape.map.setOpen(area, indexOf(key.value), false));
    default:
      return ok('EINVAL');
  }
}

/** Reads or writes by the system call: whether the map allows it. */
export function accessProblem({ id, spec }: BpfMap, access: 'read' | 'write'): Result<void> {
  const forbids = access === 'read' ? MAP_FLAGS.BPF_F_WRONLY : MAP_FLAGS.BPF_F_RDONLY;
  const isFrozen = access === 'write' && spec.isFrozen === true;
  if ((spec.flags & forbids) === 0 && !isFrozen) return ok(undefined);
  const why = isFrozen ? 'is frozen' : `has ${access === 'read' ? 'BPF_F_WRONLY' : 'BPF_F_RDONLY'}`;
  return err(refuse(MAP_ACCESS, { detail: `${id} ${why}.` }));
}

type Step = (map: BpfMap, shape: MapShape, area: PagedArea) => Result<Errno | undefined>;

function changed(state: KernelState, id: string, what: string, step: Step): Result<MapChange> {
  const map = state.maps.get(id);
  if (map === undefined) return err(mapUnknown(id));
  const access = accessProblem(map, 'write');
  if (!access.ok) return access;
  const area = new PagedArea(map.pages);
  const done = step(map, mapShape(map.spec), area);
  if (!done.ok) return done;
  if (done.value === undefined) return ok(written(state, map, area));
  return err(
    refuse(MAP_ELEMENT, { errno: done.value, detail: `${what} of ${id} (${map.spec.type}) answers ${done.value}.` }),
  );
}

/** BPF_MAP_UPDATE_ELEM */
export const decideUpdateElement = (state: KernelState, id: string, request: UpdateElementRequest): Result<MapChange> =>
  changed(state, id, 'Updating an element', (map, shape, area) => updateElement(state, map, shape, area, request));

/** BPF_MAP_DELETE_ELEM */
export const decideDeleteElement = (state: KernelState, id: string, key: string): Result<MapChange> =>
  changed(state, id, 'Deleting an element', (map, shape, area) => deleteElement(map, shape, area, key));

/** A reader has taken the records of a ring up to a position. */
export function decideConsume(state: KernelState, id: string, ring: number, upTo: bigint): Result<MapChange> {
  const map = state.maps.get(id);
  if (map === undefined) return err(mapUnknown(id));
  const shape = mapShape(map.spec);
  const area = new PagedArea(map.pages);
  if (shape.kind === 'ringbuf' || shape.kind === 'perf') {
    const from = shape.map.rings[ring];
    if (from !== undefined && upTo > from.consumer(area) && upTo <= from.producer(area)) from.consume(area, upTo);
  }
  return ok(written(state, map, area));
}
