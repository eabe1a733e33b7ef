/**
 * hash, lru_hash and their per-CPU variants: buckets of chained elements, all of it in the map's memory. Source: kernel/bpf/hashtab.c,
 * kernel/bpf/bpf_lru_list.c (6.12). docs/maps.md says what is not Linux's: which free element is taken, and the order of eviction.
 *
 * Memory: a page of counters, a word for each bucket, the elements. An element is known by its number plus 1; 0 is none.
 */
import { bytesEqual, type Errno } from '../../base/index.ts';
import { MAP_PAGE_SIZE, type MapArea } from './area.ts';
import { jhash } from './jhash.ts';
import type { KeyedMap, MapElement, MapValue } from './keyed-map.ts';
import { LruList } from './lru-list.ts';
import { isLru, isPerCpu, roundUp } from './map-limits.ts';
import { BPF_EXIST, BPF_NOEXIST, MAP_FLAGS, type MapSpec } from './map-spec.ts';
import { copyValue, updateFlags } from './value-fields.ts';

/** Words of the first page, behind what struct bpf_map has at its start. */
const FREE = 0x800;
const NEVER_USED = 0x804;
export const COUNT = 0x808;
const LRU = 0x810;
/** One spare element for each CPU, for an update of an element that is there (htab->extra_elems). */
const EXTRA = 0x900;

/** Words at the start of an element; its key follows where that of struct htab_elem does. */
const NEXT = 0;
const HASH = 4;
const LRU_LINKS = 8;
const KEY = 48;

const nextPowerOf2 = (value: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, value)));

/** Where things are in a table of this shape. */
class Table {
  readonly spec: MapSpec;
  readonly buckets: number;
  /** All that can be allocated: the spare ones included. */
  readonly elements: number;
  readonly hasExtra: boolean;
  readonly valueAt: number;
  readonly cpuStride: number;
  readonly elementSize: number;
  readonly elementsAt: number;
  readonly lru: LruList | undefined;

  constructor(spec: MapSpec, cpus: number) {
    this.spec = spec;
    const perCpu = isPerCpu(spec.type);
    this.buckets = nextPowerOf2(spec.maxEntries);
    this.hasExtra = !perCpu && !isLru(spec.type) && (spec.flags & MAP_FLAGS.BPF_F_NO_PREALLOC) === 0;
    this.elements = spec.maxEntries + cpus;
    this.valueAt = KEY + roundUp(spec.keySize, 8);
    const valueRoom = roundUp(spec.valueSize, 8);
    this.cpuStride = perCpu ? valueRoom : 0;
    this.elementSize = this.valueAt + valueRoom * (perCpu ? cpus : 1);
    this.elementsAt = roundUp(MAP_PAGE_SIZE + this.buckets * 4, 64);
    this.lru = isLru(spec.type)
      ? new LruList({ headAt: LRU, tailAt: LRU + 4, linksOf: (element) => this.at(element) + LRU_LINKS })
      : undefined;
  }

  get size(): number {
    return roundUp(this.elementsAt + this.elements * this.elementSize, MAP_PAGE_SIZE);
  }

  at(element: number): number {
    return this.elementsAt + (element - 1) * this.elementSize;
  }

  bucket(hash: number): number {
    return MAP_PAGE_SIZE + (hash & (this.buckets - 1)) * 4;
  }

  /** An element and the word that leads to it. */
  find(
    area: MapArea,
    key: Uint8Array,
    hash: number,
  ): { readonly element: number; readonly linkAt: number } | undefined {
    let linkAt = this.bucket(hash);
    for (let element = area.u32(linkAt); element !== 0; element = area.u32(linkAt)) {
      const at = this.at(element);
      if (area.u32(at + HASH) === hash && bytesEqual(area.read(at + KEY, key.length), key)) return { element, linkAt };
      linkAt = at + NEXT;
    }
    return undefined;
  }

  /** An element that nobody uses; 0 when there is none left. */
  take(area: MapArea, limit: number): number {
    const free = area.u32(FREE);
    if (free !== 0) {
      area.setU32(FREE, area.u32(this.at(free) + NEXT));
      return free;
    }
    const next = area.u32(NEVER_USED);
    if (next >= limit) return 0;
    area.setU32(NEVER_USED, next + 1);
    return next + 1;
  }

  give(area: MapArea, element: number): void {
    area.setU32(this.at(element) + NEXT, area.u32(FREE));
    area.setU32(FREE, element);
  }

  link(area: MapArea, element: number, key: Uint8Array, hash: number): void {
    const at = this.at(element);
    const bucket = this.bucket(hash);
    area.setU32(at + HASH, hash);
    area.write(at + KEY, key);
    area.setU32(at + NEXT, area.u32(bucket));
    area.setU32(bucket, element);
  }

  unlink(area: MapArea, { element, linkAt }: { readonly element: number; readonly linkAt: number }): void {
    area.setU32(linkAt, area.u32(this.at(element) + NEXT));
  }

  key(area: MapArea, element: number): Uint8Array {
    return area.read(this.at(element) + KEY, this.spec.keySize);
  }

  /** pcpu_init_value: what a program does not write of a new element is 0. */
  writeValue(area: MapArea, element: number, value: MapValue, isNew: boolean): void {
    const at = this.at(element) + this.valueAt;
    const { cpuStride } = this;
    if (value.from === 'syscall') {
      for (const [cpu, bytes] of value.bytes.entries()) copyValue(area, at + cpu * cpuStride, bytes, this.spec);
      return;
    }
    if (isNew && cpuStride > 0) area.write(at, new Uint8Array(this.elementSize - this.valueAt));
    copyValue(area, at + value.cpu * cpuStride, value.bytes, this.spec);
  }
}

/** check_flags */
const flagsProblem = (isThere: boolean, flags: number): Errno | undefined => {
  if (isThere && flags === BPF_NOEXIST) return 'EEXIST';
  return !isThere && flags === BPF_EXIST ? 'ENOENT' : undefined;
};

/** One more element, or one fewer. */
const count = (area: MapArea, by: number): void => area.setU32(COUNT, area.u32(COUNT) + by);

type Update = {
  readonly key: Uint8Array;
  readonly value: MapValue;
  readonly flags: number;
  readonly isLocked: boolean;
};

/** What the flags have locked is changed where it is: who holds the value's address sees the new one. */
function updateHash(table: Table, area: MapArea, { key, value, flags, isLocked }: Update): Errno | undefined {
  const hash = jhash(key);
  const old = table.find(area, key, hash);
  const problem = flagsProblem(old !== undefined, flags);
  if (problem !== undefined) return problem;
  if (old !== undefined && (table.cpuStride > 0 || isLocked)) {
    table.writeValue(area, old.element, value, false);
    return undefined;
  }
  if (old !== undefined) {
    replaceElement(table, area, old, key, hash, value);
    return undefined;
  }
  if (area.u32(COUNT) >= table.spec.maxEntries) return 'E2BIG';
  const element = table.take(area, table.elements);
  table.writeValue(area, element, value, true);
  table.link(area, element, key, hash);
  count(area, 1);
  return undefined;
}

/** A program may still hold the old value's address: another element takes its place, and the old one is the next spare one. */
function replaceElement(
  table: Table,
  area: MapArea,
  old: { readonly element: number; readonly linkAt: number },
  key: Uint8Array,
  hash: number,
  value: MapValue,
): void {
  const extraAt = EXTRA + 4 * (value.from === 'program' ? value.cpu : 0);
  const spare = table.hasExtra ? area.u32(extraAt) : 0;
  const element = spare === 0 ? table.take(area, table.elements) : spare;
  table.writeValue(area, element, value, true);
  table.unlink(area, old);
  table.link(area, element, key, hash);
  if (table.hasExtra) area.setU32(extraAt, old.element);
  else table.give(area, old.element);
}

/**
 * htab_lru_map_update_elem: an element is taken first, if need be from another key, and given back when the flags refuse the update.
 */
function updateLru(
  table: Table,
  lru: LruList,
  area: MapArea,
  { key, value, flags }: Omit<Update, 'isLocked'>,
): Errno | undefined {
  const hash = jhash(key);
  // __htab_lru_percpu_map_update_elem takes none when it is only to change what is there.
  const isInPlace = table.cpuStride > 0 && flags === BPF_EXIST;
  const element = isInPlace ? 0 : table.take(area, table.spec.maxEntries) || evict(table, lru, area);
  if (element === 0 && !isInPlace) return 'ENOMEM';
  const old = table.find(area, key, hash);
  const problem = flagsProblem(old !== undefined, flags);
  if (problem !== undefined || (old !== undefined && table.cpuStride > 0)) {
    if (element !== 0) table.give(area, element);
    if (problem !== undefined || old === undefined) return problem;
    table.writeValue(area, old.element, value, false);
    lru.touch(area, old.element);
    return undefined;
  }
  table.writeValue(area, element, value, true);
  if (old !== undefined) {
    table.unlink(area, old);
    lru.remove(area, old.element);
    table.give(area, old.element);
  } else count(area, 1);
  table.link(area, element, key, hash);
  lru.push(area, element);
  return undefined;
}

/** Takes the element that was not looked at for longest away from its key. */
function evict(table: Table, lru: LruList, area: MapArea): number {
  const element = lru.oldest(area);
  if (element === 0) return 0;
  const key = table.key(area, element);
  const found = table.find(area, key, jhash(key));
  if (found !== undefined) table.unlink(area, found);
  lru.remove(area, element);
  count(area, -1);
  return element;
}

export function hashMap(spec: MapSpec, cpus: number): KeyedMap {
  const table = new Table(spec, cpus);
  const { lru } = table;
  return {
    cpuStride: table.cpuStride,
    size: table.size,
    lookup(area, key, { cpu, isProgram }) {
      const found = table.find(area, key, jhash(key));
      if (found === undefined) return undefined;
      if (isProgram) lru?.touch(area, found.element);
      return table.at(found.element) + table.valueAt + cpu * table.cpuStride;
    },
    update(area, key, value, flags) {
      const taken = updateFlags(flags, table.spec);
      if (taken === undefined) return 'EINVAL';
      const update = { key, value, ...taken };
      return lru === undefined ? updateHash(table, area, update) : updateLru(table, lru, area, update);
    },
    delete(area, key) {
      const found = table.find(area, key, jhash(key));
      if (found === undefined) return 'ENOENT';
      table.unlink(area, found);
      lru?.remove(area, found.element);
      table.give(area, found.element);
      count(area, -1);
      return undefined;
    },
    *elements(area): Generator<MapElement> {
      for (let bucket = 0; bucket < table.buckets; bucket++) {
        for (let element = area.u32(MAP_PAGE_SIZE + bucket * 4); element !== 0; ) {
          const at = table.at(element);
          const next = area.u32(at + NEXT);
          yield { key: table.key(area, element), keyAt: at + KEY, at: at + table.valueAt };
          element = next;
        }
      }
    },
  };
}
