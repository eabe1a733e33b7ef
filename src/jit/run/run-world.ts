/** The memory of a run: maps at their addresses, whatever runs the program. */
import { bytesEqual, toHex } from '../../base/index.ts';
import { type AddressSpace, PAGE_SIZE, type Region } from '../../cpu/index.ts';
import {
  HELPER_BODIES,
  HELPER_PROTOTYPES,
  type HelperContext,
  type HelperMemory,
  type MappedMap,
} from '../helpers/index.ts';
import type { BpfMemory, HelperRegistry } from '../interpret/index.ts';
import { MAP_FLAGS, MappedArea, type MapSpec, mapShape, mapSize } from '../maps/index.ts';

/** A map as a thread gets it: plain data. */
export interface RunMap {
  readonly id: string;
  readonly address: bigint;
  readonly spec: MapSpec;
  /** Its pages by number; what is not there is zeroes. */
  readonly pages: readonly (readonly [number, Uint8Array])[];
}

/** Bytes that a run left in a map, at an offset of its memory. Hex. */
export interface RunWrite {
  readonly map: string;
  readonly at: number;
  readonly bytes: string;
}

export interface MapInSpace {
  readonly mapped: MappedMap;
  readonly region: Region;
}

/** Puts a map into memory. What programs may not write (BPF_F_RDONLY_PROG) is read-only for CPUs. */
export function mapIntoSpace(space: AddressSpace, { id, address, spec, pages }: RunMap): MapInSpace {
  // Only as far as there is anything: most of a large map was never written, and takes no memory here either.
  const last = Math.max(-1, ...pages.map(([page]) => page));
  const initial = new Uint8Array((last + 1) * PAGE_SIZE);
  for (const [page, bytes] of pages) initial.set(bytes, page * PAGE_SIZE);
  const region = space.map({
    name: `map ${spec.name}`,
    start: address,
    length: mapSize(spec),
    permissions: (spec.flags & MAP_FLAGS.BPF_F_RDONLY_PROG) === 0 ? 'rw-' : 'r--',
    initial,
  });
  return { region, mapped: { id, address, spec, shape: mapShape(spec), area: new MappedArea(region) } };
}

/** Runs of bytes that differ; a few equal ones between two do not part them. */
const GAP = 8;

function* differences(before: Uint8Array, now: Uint8Array): Generator<readonly [from: number, to: number]> {
  let from = -1;
  let last = -1;
  for (let i = 0; i < now.length; i++) {
    if (now[i] === before[i]) continue;
    if (from >= 0 && i - last > GAP) {
      yield [from, last + 1];
      from = i;
    } else if (from < 0) from = i;
    last = i;
  }
  if (from >= 0) yield [from, last + 1];
}

/** What was written since a map was put into memory. */
export function writesOf({ mapped, region }: MapInSpace): readonly RunWrite[] {
  const writes: RunWrite[] = [];
  for (let page = region.dirty.indexOf(1); page >= 0; page = region.dirty.indexOf(1, page + 1)) {
    const start = page * PAGE_SIZE;
    const known = region.initial?.subarray(start, start + PAGE_SIZE);
    const before = known?.length === PAGE_SIZE ? known : new Uint8Array(PAGE_SIZE);
    const now = region.bytes.subarray(start, start + PAGE_SIZE);
    if (bytesEqual(before, now)) continue;
    for (const [from, to] of differences(before, now))
      writes.push({ map: mapped.id, at: start + from, bytes: toHex(now.subarray(from, to)) });
  }
  return writes;
}

/** Memory as a program has it: what is not mapped, or read-only, is not there for it. */
export function programMemory(space: AddressSpace): BpfMemory {
  return {
    load(address, size) {
      const bytes = space.peek(address, size);
      return bytes?.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    },
    store(address, size, value) {
      const isWritable = space.regions.some(
        ({ start, length, permissions }) =>
          permissions === 'rw-' && address >= start && address + BigInt(size) <= start + BigInt(length),
      );
      if (!isWritable) return false;
      const bytes = Uint8Array.from({ length: size }, (_, byte) => Number((value >> BigInt(8 * byte)) & 0xffn));
      return space.poke(address, bytes);
    },
  };
}

/** First one, then the other. */
export const joinedMemory = (first: BpfMemory, second: BpfMemory): BpfMemory => ({
  load: (address, size) => first.load(address, size) ?? second.load(address, size),
  store: (address, size, value) => first.store(address, size, value) || second.store(address, size, value),
});

/** A program's memory byte by byte, for helpers. */
const helperMemory = (memory: BpfMemory): HelperMemory => ({
  read(address, length) {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const byte = memory.load(BigInt.asUintN(64, address + BigInt(i)), 1);
      if (byte === undefined) return undefined;
      out[i] = Number(byte);
    }
    return out;
  },
  write: (address, bytes) =>
    bytes.every((byte, i) => memory.store(BigInt.asUintN(64, address + BigInt(i)), 1, BigInt(byte))),
});

/** The helpers that are built, for a program that runs by itself. */
export function helpersIn(context: Omit<HelperContext, 'memory'>): HelperRegistry {
  return {
    byId(id) {
      const body = HELPER_BODIES.get(id);
      if (body === undefined) return undefined;
      const name = HELPER_PROTOTYPES.get(id)?.name.replace(/^bpf_/, '') ?? String(id);
      return { id, name, run: ({ args, memory }) => body(args, { ...context, memory: helperMemory(memory) }) };
    },
  };
}
