import { type Clock, invariant, systemPrng } from '../base/index.ts';
import { type AddressSpace, PAGE_SIZE } from '../cpu/index.ts';
import {
  HELPER_STUBS_MAX,
  HELPER_STUBS_SIZE,
  HELPER_STUBS_START,
  helperStub,
  type MapInSpace,
  mapIntoSpace,
  type RunMap,
  type RunWrite,
  STUB_CODE,
  TAIL_CALL_LAYOUT,
  writesOf,
} from '../jit/index.ts';
import type { BpfWorld } from './execution.ts';
import { HYPERCALL } from './layout.ts';
import type { MachineImage } from './machine-image.ts';

const samePages = (a: RunMap, b: RunMap): boolean =>
  a.address === b.address &&
  a.pages.length === b.pages.length &&
  a.pages.every(([page, bytes], i) => {
    const other = b.pages[i];
    return other !== undefined && other[0] === page && Buffer.compare(other[1], bytes) === 0;
  });

/** What BPF has in a machine's memory: maps at their addresses, stubs of helpers, where programs say that their code is. */
export class BpfMemoryOfMachine {
  readonly #space: AddressSpace;
  readonly #image: MachineImage;
  readonly #maps = new Map<string, { readonly shown: RunMap; readonly inSpace: MapInSpace }>();
  readonly #textEnd: bigint;

  constructor(space: AddressSpace, image: MachineImage) {
    this.#space = space;
    this.#image = image;
    this.#textEnd = image.base + BigInt(Math.max(0, ...image.text.map(({ start, bytes }) => start + bytes.length)));
    const stubs = new Uint8Array(HELPER_STUBS_SIZE).fill(0xcc);
    for (let id = 0; id < HELPER_STUBS_MAX; id++)
      stubs.set(STUB_CODE.get(id) ?? HYPERCALL, Number(helperStub(id) - HELPER_STUBS_START));
    space.map({
      name: 'stubs of BPF helpers',
      start: HELPER_STUBS_START,
      length: HELPER_STUBS_SIZE,
      permissions: 'r-x',
      initial: stubs,
    });
  }

  /** Has these maps in memory and no others; one that is what it was stays. */
  show(maps: readonly RunMap[]): void {
    const wanted = new Map(maps.map((map) => [map.id, map]));
    for (const [id, { shown, inSpace }] of this.#maps) {
      const next = wanted.get(id);
      if (next !== undefined && samePages(shown, next)) continue;
      this.#space.unmap(inSpace.region);
      this.#maps.delete(id);
    }
    for (const map of maps)
      if (!this.#maps.has(map.id)) this.#maps.set(map.id, { shown: map, inSpace: mapIntoSpace(this.#space, map) });
  }

  /** Writes into each struct bpf_prog where its code is, for tail calls. Going back to a snapshot takes it away. */
  putPrograms(callees: readonly { readonly prog: bigint; readonly entry: number }[]): void {
    for (const { prog, entry } of callees) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, this.#image.base + BigInt(entry), true);
      invariant(this.#space.poke(prog + BigInt(TAIL_CALL_LAYOUT.bpfFunc), bytes), 'a program is a data object');
    }
  }

  world(clock: Clock): BpfWorld {
    return {
      maps: [...this.#maps.values()].map(({ inSpace }) => inSpace.mapped),
      kernelText: this.#textEnd,
      now: () => BigInt(Math.round(clock.monotonicUs() * 1000)),
      tai: () => BigInt(clock.now()) * 1_000_000n,
      random: () => systemPrng.u32(),
    };
  }

  writes(): readonly RunWrite[] {
    return [...this.#maps.values()].flatMap(({ inSpace }) => writesOf(inSpace));
  }
}

/** Whole pages. */
invariant(HELPER_STUBS_SIZE % PAGE_SIZE === 0, 'stubs are whole pages');
