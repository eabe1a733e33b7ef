import { invariant } from '../base/index.ts';
import { type Access, FaultSignal, generalProtection } from './fault.ts';
import { PAGE_SHIFT, PAGE_SIZE, Region, type RegionRequest } from './region.ts';
import type { TextSource } from './text-source.ts';
import { highWord, lowWord, wide } from './wide.ts';

const CACHE_MASK = 0xff;
/** What an empty place of the caches holds: it has no bytes, so no address is in it. */
const NOWHERE = new Region({ name: 'nowhere', start: 0n, length: 0, permissions: '---' });

interface Text {
  readonly name: string;
  readonly high: number;
  readonly low: number;
  readonly source: TextSource;
}

/** Pages of all regions that differ from what the regions held at first. */
export interface MemorySnapshot {
  readonly pages: readonly { readonly region: Region; readonly page: number; readonly bytes: Uint8Array }[];
}

/**
 * The memory that all CPUs share: regions of pages, and text. Accesses are atomic and sequentially consistent, because one JavaScript
 * thread makes them one after the other. W^X holds by construction: no region is `rwx`, and text has no way to be stored to.
 *
 * Addresses are pairs of words inside (high, low) and bigint at the edges. Accesses that are not allowed throw a FaultSignal, which the CPU
 * turns into its exit.
 */
export class AddressSpace {
  #regions: Region[] = [];
  #texts: Text[] = [];
  readonly #readable: Region[] = new Array<Region>(CACHE_MASK + 1).fill(NOWHERE);
  readonly #writable: Region[] = new Array<Region>(CACHE_MASK + 1).fill(NOWHERE);
  readonly #executable: Region[] = new Array<Region>(CACHE_MASK + 1).fill(NOWHERE);
  /** Changes of what is mapped, and of the bytes of `r-x` regions. */
  #ownGeneration = 0;
  /** High word of the 64-bit value read last. */
  high = 0;

  get regions(): readonly Region[] {
    return this.#regions;
  }

  /** Changes whenever an instruction byte may have changed. */
  get codeGeneration(): number {
    let sum = this.#ownGeneration;
    for (const text of this.#texts) sum += text.source.generation;
    return sum;
  }

  /** Adds a region; throws InvariantViolation when it overlaps another one, is not whole pages, or is both writable and executable. */
  map(request: RegionRequest): Region {
    const region = new Region(request);
    const end = region.start + BigInt(region.length);
    const other = this.#regions.find((o) => o.start < end && region.start < o.start + BigInt(o.length));
    invariant(other === undefined, () => `${region.name} overlaps ${other?.name}`);
    this.#regions = [...this.#regions, region];
    this.#forget();
    return region;
  }

  /** Maps text that its owner may change; regions stand before it where both are. Offset 0 of `source` is at `base`. */
  mapText(name: string, base: bigint, source: TextSource): void {
    this.#texts = [...this.#texts, { name, high: highWord(base), low: lowWord(base), source }];
    this.#forget();
  }

  unmap(region: Region): void {
    invariant(this.#regions.includes(region), `${region.name} is not mapped`);
    this.#regions = this.#regions.filter((other) => other !== region);
    this.#forget();
  }

  #forget(): void {
    this.#readable.fill(NOWHERE);
    this.#writable.fill(NOWHERE);
    this.#executable.fill(NOWHERE);
    this.#ownGeneration += 1;
  }

  /** The region that holds an address. */
  regionAt(high: number, low: number): Region | undefined {
    return this.#regions.find((r) => r.high === high && (low - r.low) >>> 0 < r.length);
  }

  #textAt(
    high: number,
    low: number,
    length: number,
  ): { readonly source: TextSource; readonly offset: number } | undefined {
    for (const { high: textHigh, low: textLow, source } of this.#texts) {
      const offset = (low - textLow) >>> 0;
      if (high === textHigh && low >>> 0 >= textLow >>> 0 && source.contains(offset, length)) return { source, offset };
    }
    return undefined;
  }

  read8(high: number, low: number): number {
    const region = this.#readable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset < region.length) return region.bytes[offset] ?? 0;
    return this.#readSlow(high, low, 1);
  }

  /** Zero-extended. */
  read16(high: number, low: number): number {
    const region = this.#readable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 2 <= region.length) return region.view.getUint16(offset, true);
    return this.#readSlow(high, low, 2);
  }

  /** Signed. */
  read32(high: number, low: number): number {
    const region = this.#readable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 4 <= region.length) return region.view.getInt32(offset, true);
    return this.#readSlow(high, low, 4);
  }

  /** The low word; the high one is in {@link high}. */
  read64(high: number, low: number): number {
    const region = this.#readable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 8 <= region.length) {
      this.high = region.view.getInt32(offset + 4, true);
      return region.view.getInt32(offset, true);
    }
    return this.#readSlow(high, low, 8);
  }

  write8(high: number, low: number, value: number): void {
    const region = this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset < region.length) {
      region.bytes[offset] = value;
      region.dirty[offset >>> PAGE_SHIFT] = 1;
    } else this.#writeSlow(high, low, 1, value, 0);
  }

  write16(high: number, low: number, value: number): void {
    const region = this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 2 <= region.length) {
      region.view.setInt16(offset, value, true);
      region.dirty[offset >>> PAGE_SHIFT] = 1;
      region.dirty[(offset + 1) >>> PAGE_SHIFT] = 1;
    } else this.#writeSlow(high, low, 2, value, 0);
  }

  write32(high: number, low: number, value: number): void {
    const region = this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 4 <= region.length) {
      region.view.setInt32(offset, value, true);
      region.dirty[offset >>> PAGE_SHIFT] = 1;
      region.dirty[(offset + 3) >>> PAGE_SHIFT] = 1;
    } else this.#writeSlow(high, low, 4, value, 0);
  }

  write64(high: number, low: number, valueHigh: number, valueLow: number): void {
    const region = this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + 8 <= region.length) {
      region.view.setInt32(offset, valueLow, true);
      region.view.setInt32(offset + 4, valueHigh, true);
      region.dirty[offset >>> PAGE_SHIFT] = 1;
      region.dirty[(offset + 7) >>> PAGE_SHIFT] = 1;
    } else this.#writeSlow(high, low, 8, valueLow, valueHigh);
  }

  /** Faults as a store to [address, address + length) would, and stores nothing: what a read-modify-write does before it reads. */
  checkWrite(high: number, low: number, length: number): void {
    const region = this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high === high && offset + length <= region.length) return;
    for (let i = 0; i < length; i++) this.#writableRegion(high, low, i);
  }

  /** An access that the caches do not answer: byte by byte, every byte checked before the first is used. */
  #readSlow(high: number, low: number, length: number): number {
    let word = 0;
    this.high = 0;
    for (let i = 0; i < length; i++) {
      const byte = this.#readByte(high, low, i);
      if (i < 4) word |= byte << (8 * i);
      else this.high |= byte << (8 * (i - 4));
    }
    return word;
  }

  #readByte(baseHigh: number, baseLow: number, index: number): number {
    const low = (baseLow + index) | 0;
    const high = low >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh;
    const region = this.regionAt(high, low);
    if (region !== undefined && region.permissions !== '---') {
      this.#readable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] = region;
      return region.bytes[(low - region.low) >>> 0] ?? 0;
    }
    const text = region === undefined ? this.#textAt(high, low, 1) : undefined;
    if (text === undefined) throw this.#fault(high, low, 'read', 'not mapped');
    return text.source.u8(text.offset);
  }

  #writeSlow(high: number, low: number, length: number, valueLow: number, valueHigh: number): void {
    this.checkWrite(high, low, length);
    for (let i = 0; i < length; i++) {
      const at = (low + i) | 0;
      const region = this.#writableRegion(high, low, i);
      const offset = (at - region.low) >>> 0;
      region.bytes[offset] = i < 4 ? valueLow >>> (8 * i) : valueHigh >>> (8 * (i - 4));
      region.dirty[offset >>> PAGE_SHIFT] = 1;
    }
  }

  #writableRegion(baseHigh: number, baseLow: number, index: number): Region {
    const low = (baseLow + index) | 0;
    const high = low >>> 0 < baseLow >>> 0 ? (baseHigh + 1) | 0 : baseHigh;
    const region = this.regionAt(high, low);
    if (region?.permissions === 'rw-') {
      this.#writable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] = region;
      return region;
    }
    if (region === undefined && this.#textAt(high, low, 1) !== undefined) throw this.#fault(high, low, 'write', 'text');
    const isMapped = region !== undefined && region.permissions !== '---';
    throw this.#fault(high, low, 'write', isMapped ? 'read-only' : 'not mapped');
  }

  #fault(high: number, low: number, access: Access, reason: 'not mapped' | 'read-only' | 'text'): FaultSignal {
    const address = wide(high, low);
    // Bits 63 to 47 must be equal (4-level paging); Linux' kernel half and user half.
    if (high >> 15 !== 0 && high >> 15 !== -1) return generalProtection('non-canonical address', address);
    return new FaultSignal({ name: '#PF', vector: 14, address, access, reason });
  }

  /**
   * Copies up to `out.length` instruction bytes; how many there are before the first that cannot be executed. Instruction bytes are those
   * of text and of `r-x` regions.
   */
  fetch(high: number, low: number, out: Uint8Array): number {
    const region = this.#executable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] ?? NOWHERE;
    const offset = (low - region.low) >>> 0;
    if (region.high !== high || offset + out.length > region.length) return this.#fetchSlow(high, low, out);
    for (let i = 0; i < out.length; i++) out[i] = region.bytes[offset + i] ?? 0;
    return out.length;
  }

  #fetchSlow(high: number, low: number, out: Uint8Array): number {
    const whole = this.regionAt(high, low);
    const text = whole === undefined ? this.#textAt(high, low, out.length) : undefined;
    if (text !== undefined) {
      out.set(text.source.bytes(text.offset, out.length));
      return out.length;
    }
    if (whole?.permissions === 'r-x') this.#executable[((low >>> PAGE_SHIFT) ^ high) & CACHE_MASK] = whole;
    for (let i = 0; i < out.length; i++) {
      const at = (low + i) | 0;
      const atHigh = at >>> 0 < low >>> 0 ? (high + 1) | 0 : high;
      const region = this.regionAt(atHigh, at);
      if (region?.permissions === 'r-x') out[i] = region.bytes[(at - region.low) >>> 0] ?? 0;
      else {
        const one = region === undefined ? this.#textAt(atHigh, at, 1) : undefined;
        if (one === undefined) return i;
        out[i] = one.source.u8(one.offset);
      }
    }
    return out.length;
  }

  /** The fault of fetching at an address that {@link fetch} does not answer. */
  fetchFault(high: number, low: number): FaultSignal {
    const address = wide(high, low);
    if (high >> 15 !== 0 && high >> 15 !== -1) return generalProtection('non-canonical address', address);
    const isMapped = this.regionAt(high, low) !== undefined;
    const reason = isMapped ? 'not executable' : 'not mapped';
    return new FaultSignal({ name: '#PF', vector: 14, address, access: 'fetch', reason });
  }

  /** Bytes as a debugger sees them, whatever the permissions; undefined when one of them is not there. */
  peek(address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const at = address + BigInt(i);
      const region = this.regionAt(highWord(at), lowWord(at));
      const text = region === undefined ? this.#textAt(highWord(at), lowWord(at), 1) : undefined;
      if (region === undefined && text === undefined) return undefined;
      bytes[i] =
        region === undefined
          ? (text?.source.u8(text.offset) ?? 0)
          : (region.bytes[(lowWord(at) - region.low) >>> 0] ?? 0);
    }
    return bytes;
  }

  /** Writes as the one who set the memory up, whatever the permissions of the region; text cannot be written. False when not all is there. */
  poke(address: bigint, bytes: Uint8Array): boolean {
    const places = Array.from(bytes, (_, i) =>
      this.regionAt(highWord(address + BigInt(i)), lowWord(address + BigInt(i))),
    );
    if (places.includes(undefined)) return false;
    for (const [i, region] of places.entries()) {
      if (region === undefined) continue;
      const offset = (lowWord(address + BigInt(i)) - region.low) >>> 0;
      region.bytes[offset] = bytes[i] ?? 0;
      region.dirty[offset >>> PAGE_SHIFT] = 1;
      if (region.permissions === 'r-x') this.#ownGeneration += 1;
    }
    return true;
  }

  /** What was written since the regions were mapped. Text is not in it: its owner has snapshots of its own. */
  snapshot(): MemorySnapshot {
    const pages: { region: Region; page: number; bytes: Uint8Array }[] = [];
    for (const region of this.#regions) {
      for (let page = region.dirty.indexOf(1); page >= 0; page = region.dirty.indexOf(1, page + 1))
        pages.push({ region, page, bytes: region.bytes.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE) });
    }
    return { pages };
  }

  /** Back to a snapshot, or without one to what the regions held at first. Which regions are mapped stays as it is. */
  restore(snapshot: MemorySnapshot = { pages: [] }): void {
    for (const region of this.#regions) {
      for (let page = region.dirty.indexOf(1); page >= 0; page = region.dirty.indexOf(1, page + 1))
        region.resetPage(page);
    }
    for (const { region, page, bytes } of snapshot.pages) {
      region.bytes.set(bytes, page * PAGE_SIZE);
      region.dirty[page] = 1;
    }
    if (this.#regions.some((region) => region.permissions === 'r-x')) this.#ownGeneration += 1;
  }
}
