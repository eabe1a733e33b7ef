import { refuse } from './malformed.ts';

/** Little-endian reads with bounds: a read past the end is a malformed `structure`, never `undefined`. */
export interface ByteView {
  readonly bytes: Uint8Array;
  readonly length: number;
  u8(at: number): number;
  u16(at: number): number;
  u32(at: number): number;
  s32(at: number): number;
  u64(at: number): bigint;
  /** A 64-bit value that must fit a double exactly. */
  size(at: number): number;
  /** A view (no copy) of [at, at + length). */
  slice(at: number, length: number): Uint8Array;
}

export function byteView(bytes: Uint8Array, structure: string): ByteView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (at: number, length: number): number => {
    if (at < 0 || length < 0 || at + length > bytes.length) {
      refuse(structure, at, `needs ${length} bytes, only ${Math.max(0, bytes.length - at)} are left`);
    }
    return at;
  };
  const u64 = (at: number): bigint => view.getBigUint64(need(at, 8), true);
  return {
    bytes,
    length: bytes.length,
    u8: (at) => view.getUint8(need(at, 1)),
    u16: (at) => view.getUint16(need(at, 2), true),
    u32: (at) => view.getUint32(need(at, 4), true),
    s32: (at) => view.getInt32(need(at, 4), true),
    u64,
    size: (at) => {
      const value = u64(at);
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) refuse(structure, at, `0x${value.toString(16)} is no size`);
      return Number(value);
    },
    slice: (at, length) => bytes.subarray(need(at, length), at + length),
  };
}
