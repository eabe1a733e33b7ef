import { PAGE_SIZE, type Region } from '../../../src/cpu/index.ts';
import type { MachineImage } from '../../../src/machine/index.ts';
import type { RelocatableKernel } from './relocations.ts';

/** Where `_text` goes: below 2 GiB, so that addresses of 32 bits reach everything; above what Node maps for itself. */
export const LOW_TEXT = 0x4100_0000n;
/** Everything that is not part of the image, one area behind the other. */
const LOW_AREAS = 0x2000_0000n;

const IMAGE_SPAN = 0x800_0000n;
/** High halves of addresses in the direct map and on stacks (src/machine/layout.ts). */
const AREA_HALVES = new Set([0xffff_8881, 0xffff_c9ff]);
const IMAGE_HALF = 0xffff_ffff;

export interface LowArea {
  readonly low: bigint;
  readonly high: bigint;
  readonly length: number;
}

/** Which address of the simulated kernel is which in the process. */
export class LowMap {
  readonly #image: LowArea;
  readonly #areas: LowArea[] = [];
  #next = LOW_AREAS;

  constructor(base: bigint) {
    this.#image = { low: LOW_TEXT, high: base, length: Number(IMAGE_SPAN) };
  }

  /** What is added to an address of the image. */
  get delta(): bigint {
    return this.#image.low - this.#image.high;
  }

  isInImage(address: bigint): boolean {
    return address >= this.#image.high && address < this.#image.high + IMAGE_SPAN;
  }

  add(high: bigint, length: number): bigint {
    const low = this.#next;
    this.#areas.push({ low, high, length });
    // A page of nothing between two.
    this.#next += BigInt(Math.ceil(length / PAGE_SIZE) * PAGE_SIZE + PAGE_SIZE);
    return low;
  }

  toLow(address: bigint): bigint | undefined {
    const area = [this.#image, ...this.#areas].find((a) => address >= a.high && address <= a.high + BigInt(a.length));
    return area === undefined ? undefined : address - area.high + area.low;
  }

  toHigh(address: bigint): bigint | undefined {
    const area = [this.#image, ...this.#areas].find((a) => address >= a.low && address <= a.low + BigInt(a.length));
    return area === undefined ? undefined : address - area.low + area.high;
  }

  /** Addresses in aligned words become those of the process. With `withImage` those of the image, too, where no relocation says which words are. */
  lowered(bytes: Uint8Array, withImage: boolean): Uint8Array {
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    for (let at = 0; at + 8 <= copy.length; at += 8) {
      const half = view.getUint32(at + 4, true);
      if (!AREA_HALVES.has(half) && !(withImage && half === IMAGE_HALF)) continue;
      const low = this.toLow(view.getBigUint64(at, true));
      if (low !== undefined) view.setBigUint64(at, low, true);
    }
    return copy;
  }
}

export interface Piece {
  readonly low: bigint;
  readonly bytes: Uint8Array;
  readonly permissions: 'r-x' | 'r--' | 'rw-';
}

interface Placed {
  /** Address that relocations know it by. */
  readonly at: bigint;
  readonly bytes: Uint8Array;
}

/** Changes the words in copies of parts of the image; those that boot wrote over are left alone, and their places answered. */
function relocate(
  kernel: RelocatableKernel,
  parts: readonly Placed[],
  { delta, perCpuLoad }: { readonly delta: bigint; readonly perCpuLoad: bigint },
): ReadonlySet<bigint> {
  const done = new Set<bigint>();
  const sorted = [...parts].sort((a, b) => (a.at < b.at ? -1 : 1));
  const find = (address: bigint, length: number): Placed | undefined =>
    sorted.find(({ at, bytes }) => address >= at && address + BigInt(length) <= at + BigInt(bytes.length));
  const original = kernel.sections
    .filter(({ isAlloc }) => isAlloc)
    .map(({ name, address, bytes }): Placed => ({ at: name === PERCPU ? perCpuLoad : address, bytes }));
  const inFile = (address: bigint, length: number): Uint8Array | undefined => {
    const section = original.find(({ at, bytes }) => address >= at && address < at + BigInt(bytes.length));
    const from = section === undefined ? 0 : Number(address - section.at);
    return section?.bytes.subarray(from, from + length);
  };
  const apply = (address: bigint, length: 4 | 8, change: (view: DataView, at: number) => void): void => {
    const part = find(address, length);
    if (part === undefined) return;
    const at = Number(address - part.at);
    const was = inFile(address, length);
    if (was !== undefined && Buffer.compare(was, part.bytes.subarray(at, at + length)) !== 0) return;
    change(new DataView(part.bytes.buffer, part.bytes.byteOffset), at);
    done.add(address);
  };
  const low = Number(BigInt.asIntN(32, delta));
  for (const place of kernel.relocations.words32)
    apply(place, 4, (view, at) => view.setInt32(at, (view.getInt32(at, true) + low) | 0, true));
  for (const place of kernel.relocations.inverse32)
    apply(place, 4, (view, at) => view.setInt32(at, (view.getInt32(at, true) - low) | 0, true));
  for (const place of kernel.relocations.words64)
    apply(place, 8, (view, at) => view.setBigUint64(at, BigInt.asUintN(64, view.getBigUint64(at, true) + delta), true));
  return done;
}

export interface LowKernel {
  readonly map: LowMap;
  readonly pieces: readonly Piece[];
  /** Places whose word was changed. */
  readonly relocated: ReadonlySet<bigint>;
}

const PERCPU = '.data..percpu';
const LEFT_OUT =
  /^(?:stubs of |displaced instructions|data objects|functions of tracepoints|buffers of trace events|module)/;
const MOVED = /^(?:per-CPU area|task|stack|heap|command line)/;

/** A region that nobody has given a place would lie somewhere, and crash the process. */
function placeOf(map: LowMap, { name, start }: Region): bigint {
  const low = map.toLow(start);
  if (low === undefined) throw new Error(`${name} has no place below 2 GiB`);
  return low;
}

/**
 * A kernel that has booted, as its memory would be had it been linked below 2 GiB: pristine text and data changed at the places that the relocation
 * trailer names, and what boot put outside of the image at addresses of the process.
 *
 * @param perCpuLoad address of `__per_cpu_load`, by which relocations know the template of per-CPU areas
 */
export function lowKernel(
  image: MachineImage,
  regions: readonly Region[],
  kernel: RelocatableKernel,
  perCpuLoad: bigint,
): LowKernel {
  const map = new LowMap(image.base);
  const texts = image.text.map(({ start, bytes }) => ({ at: image.base + BigInt(start), bytes: bytes.slice() }));
  const kept = regions.filter(({ name }) => !LEFT_OUT.test(name));
  const init = image.symbols['init_task'];
  const copies = kept.map((region) => ({
    region,
    bytes: region.bytes.slice(),
    at: region.name.startsWith('per-CPU')
      ? perCpuLoad
      : region.name.startsWith('task') && init !== undefined
        ? init
        : region.start,
  }));
  for (const { region } of copies) if (MOVED.test(region.name)) map.add(region.start, region.length);
  const ofImage = copies.filter(({ region }) => !MOVED.test(region.name));
  const relocated = new Set(relocate(kernel, [...texts, ...ofImage], { delta: map.delta, perCpuLoad }));
  for (const copy of copies) if (!ofImage.includes(copy)) relocate(kernel, [copy], { delta: map.delta, perCpuLoad });
  const text = texts.map(({ at, bytes }) => ({ low: at + map.delta, bytes, permissions: 'r-x' as const }));
  const data = copies.map(({ region, bytes }) => ({
    low: placeOf(map, region),
    bytes: map.lowered(bytes, false),
    permissions: region.permissions === 'r--' ? ('r--' as const) : ('rw-' as const),
  }));
  return { map, pieces: [...text, ...data], relocated };
}
