import { err, formatAddress, ok, type Result, toHex } from '../base/index.ts';
import {
  isPerCpu,
  type KeyedMap,
  MAP_CPUS,
  MAP_FLAGS,
  MAP_PAGE_SIZE,
  type MapElement,
  mapShape,
  mapSize,
  PagedArea,
  type ProgArray,
  type StackMap,
  shownValue,
} from '../jit/index.ts';
import { accessProblem, type BpfMap, MAP_ELEMENT, programsOfMap, readKey, refuse } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';
import { cursorStart } from './paging.ts';
import type { Page, PageRequest } from './service.ts';
import type { MapEntryView, MapRecord, MapRecords, MapView } from './service-maps.ts';

export function mapView(kernel: Kernel, map: BpfMap): MapView {
  const { spec } = map;
  return {
    id: map.id,
    number: map.number,
    name: spec.name,
    type: spec.type,
    keySize: spec.keySize,
    valueSize: spec.valueSize,
    maxEntries: spec.maxEntries,
    flags: Object.entries(MAP_FLAGS).flatMap(([name, bit]) => ((spec.flags & bit) === 0 ? [] : [name])),
    frozen: spec.isFrozen === true,
    spinLock: spec.spinLock ?? null,
    cpus: isPerCpu(spec.type) ? MAP_CPUS : 1,
    address: formatAddress(map.address),
    memory: { reserved: mapSize(spec), used: map.pages.size * MAP_PAGE_SIZE },
    client: map.client,
    since: new Date(map.sinceMs).toISOString(),
    programs: programsOfMap(kernel.state, map.id),
  };
}

const NOTHING = { value: null, values: null, program: null, stack: null } as const;

const indexKey = (index: number): string => {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index, true);
  return toHex(key);
};

function keyedEntry({ spec }: BpfMap, map: KeyedMap, area: PagedArea, { key, at }: MapElement): MapEntryView {
  const of = (cpu: number): string => toHex(shownValue(area.read(at + cpu * map.cpuStride, spec.valueSize), spec));
  return map.cpuStride === 0
    ? { ...NOTHING, key: toHex(key), value: of(0) }
    : { ...NOTHING, key: toHex(key), values: Array.from({ length: MAP_CPUS }, (_, cpu) => of(cpu)) };
}

function programEntry(kernel: Kernel, map: ProgArray, area: PagedArea, index: number): MapEntryView {
  const prog = map.get(area, index);
  const program = [...kernel.state.programs.values()].find((each) => each.prog === prog);
  return { ...NOTHING, key: indexKey(index), program: program?.id ?? null };
}

function stackEntry(kernel: Kernel, map: StackMap, area: PagedArea, id: number): MapEntryView {
  const ips = map.get(area, id) ?? [];
  const { base } = kernel.world.image;
  const view = kernel.view();
  const bytes = new Uint8Array(map.depth * 8);
  for (const [i, ip] of ips.entries()) new DataView(bytes.buffer).setBigUint64(i * 8, ip, true);
  const stack = ips.map((ip) => view.place(Number(BigInt.asUintN(64, ip - base))));
  return { ...NOTHING, key: indexKey(id), value: toHex(bytes), stack };
}

function* entriesOf(kernel: Kernel, map: BpfMap): Generator<() => MapEntryView> {
  const shape = mapShape(map.spec);
  const area = new PagedArea(map.pages);
  switch (shape.kind) {
    case 'keyed':
      for (const element of shape.map.elements(area)) yield () => keyedEntry(map, shape.map, area, element);
      break;
    case 'programs':
      for (const index of shape.map.indexes(area)) yield () => programEntry(kernel, shape.map, area, index);
      break;
    case 'stacks':
      for (const id of shape.map.ids(area)) yield () => stackEntry(kernel, shape.map, area, id);
      break;
    case 'perf':
      for (const cpu of shape.map.rings.keys())
        if (shape.map.isOpen(area, cpu)) yield () => ({ ...NOTHING, key: indexKey(cpu) });
      break;
    case 'ringbuf':
  }
}

/** In the order of BPF_MAP_GET_NEXT_KEY; a cursor counts elements, as they are when the page is asked for. */
export function mapEntries(kernel: Kernel, map: BpfMap, page: PageRequest): Result<Page<MapEntryView>> {
  const access = accessProblem(map, 'read');
  if (!access.ok) return access;
  const start = cursorStart(page);
  if (!start.ok) return start;
  const items: MapEntryView[] = [];
  let index = 0;
  for (const make of entriesOf(kernel, map)) {
    if (items.length === page.limit) return ok({ items, nextCursor: String(index) });
    if (index >= start.value) items.push(make());
    index += 1;
  }
  return ok({ items, nextCursor: null });
}

/** BPF_MAP_LOOKUP_ELEM: no use of the element as LRU maps count it. */
export function mapEntry(kernel: Kernel, map: BpfMap, hexKey: string): Result<MapEntryView> {
  const access = accessProblem(map, 'read');
  if (!access.ok) return access;
  const key = readKey(map, hexKey);
  if (!key.ok) return key;
  const shape = mapShape(map.spec);
  const area = new PagedArea(map.pages);
  if (shape.kind === 'keyed') {
    const at = shape.map.lookup(area, key.value, { cpu: 0, isProgram: false });
    if (at !== undefined) return ok(keyedEntry(map, shape.map, area, { key: key.value, at }));
  } else
    for (const make of entriesOf(kernel, map)) {
      const entry = make();
      if (entry.key === toHex(key.value)) return ok(entry);
    }
  return err(refuse(MAP_ELEMENT, { errno: 'ENOENT', detail: `${map.id} has no element ${hexKey}.` }));
}

/** What the rings of a map hold; `upTo` is where each reader is then. */
export function ringRecords(
  map: BpfMap,
  max: number,
): Result<{ readonly view: MapRecords; readonly upTo: readonly bigint[] }> {
  const shape = mapShape(map.spec);
  if (shape.kind !== 'ringbuf' && shape.kind !== 'perf')
    return err(refuse(MAP_ELEMENT, { detail: `${map.id} (${map.spec.type}) has no records.` }));
  const area = new PagedArea(map.pages);
  const records: MapRecord[] = [];
  const upTo: bigint[] = [];
  let [available, lost] = [0, 0];
  for (const [cpu, ring] of shape.map.rings.entries()) {
    const found = ring.records(area, ring.consumer(area), max - records.length);
    upTo.push(found.next);
    available += Number(ring.producer(area) - found.next);
    if (shape.kind === 'perf') lost += shape.map.lost(area, cpu);
    for (const { position, bytes } of found.records)
      records.push({ position: String(position), cpu: shape.kind === 'perf' ? cpu : null, bytes: toHex(bytes) });
  }
  return ok({ view: { records, lost, available }, upTo });
}
