/**
 * What a program can read and write, by address. Sizes are bytes: 1, 2, 4 or 8. Values are unsigned, little-endian. Answers undefined or false
 * where nothing is mapped, or not wholly, or not writable.
 */
export interface BpfMemory {
  load(address: bigint, size: number): bigint | undefined;
  store(address: bigint, size: number, value: bigint): boolean;
}

/** One range of addresses backed by bytes. */
export interface BpfRegion {
  readonly base: bigint;
  readonly bytes: Uint8Array;
  readonly isReadOnly?: boolean;
}

/** Memory of a few regions, asked in their order. */
export function regionMemory(regions: readonly BpfRegion[]): BpfMemory {
  const views = regions.map(({ base, bytes, isReadOnly = false }) => ({
    base,
    end: base + BigInt(bytes.length),
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    isReadOnly,
  }));
  const find = (address: bigint, size: number) =>
    views.find(({ base, end }) => address >= base && address + BigInt(size) <= end);
  return {
    load(address, size) {
      const region = find(address, size);
      if (region === undefined) return undefined;
      const at = Number(address - region.base);
      if (size === 8) return region.view.getBigUint64(at, true);
      if (size === 4) return BigInt(region.view.getUint32(at, true));
      return BigInt(size === 2 ? region.view.getUint16(at, true) : region.view.getUint8(at));
    },
    store(address, size, value) {
      const region = find(address, size);
      if (region === undefined || region.isReadOnly) return false;
      const at = Number(address - region.base);
      if (size === 8) region.view.setBigUint64(at, value, true);
      else if (size === 4) region.view.setUint32(at, Number(value & 0xffff_ffffn), true);
      else if (size === 2) region.view.setUint16(at, Number(value & 0xffffn), true);
      else region.view.setUint8(at, Number(value & 0xffn));
      return true;
    },
  };
}
