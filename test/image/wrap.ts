import { gzipSync } from 'node:zlib';
import { byteWriter } from './byte-writer.ts';

/** A bzImage of boot protocol 2.15 around a payload; setup of `sectors` sectors before it. */
export function bzImage(payload: Uint8Array, sectors = 3): Uint8Array {
  const offset = 0x40;
  const setup = new Uint8Array((sectors + 1) * 512 + offset);
  const view = new DataView(setup.buffer);
  view.setUint8(0x1f1, sectors);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x020f, true);
  view.setUint32(0x248, offset, true);
  view.setUint32(0x24c, payload.length, true);
  return byteWriter().bytes(setup).bytes(payload).bytes(new Uint8Array(100)).done();
}

const withSize = (packed: Uint8Array, size: number): Uint8Array => byteWriter().bytes(packed).u32(size).done();

/** A zstd frame of raw blocks (RFC 8878), not compressed. */
export function storedZstd(bytes: Uint8Array): Uint8Array {
  const out = byteWriter().bytes([0x28, 0xb5, 0x2f, 0xfd]).u8(0xa0).u32(bytes.length);
  const size = 100_000;
  for (let at = 0; at < bytes.length; at += size) {
    const block = bytes.subarray(at, at + size);
    const header = (block.length << 3) | Number(at + size >= bytes.length);
    out.bytes([header & 255, (header >> 8) & 255, header >> 16]).bytes(block);
  }
  return out.done();
}

/** One LZ4 block of literals only. */
function literalBlock(bytes: Uint8Array): Uint8Array {
  const out = byteWriter();
  if (bytes.length < 15)
    return out
      .u8(bytes.length << 4)
      .bytes(bytes)
      .done();
  out.u8(0xf0);
  let rest = bytes.length - 15;
  for (; rest >= 255; rest -= 255) out.u8(255);
  return out.u8(rest).bytes(bytes).done();
}

/** The legacy LZ4 frame, not compressed. */
export function storedLz4(bytes: Uint8Array): Uint8Array {
  const out = byteWriter().u32(0x184c2102);
  for (let at = 0; at < bytes.length; at += 8 << 20) {
    const block = literalBlock(bytes.subarray(at, at + (8 << 20)));
    out.u32(block.length).bytes(block);
  }
  return out.done();
}

/** Payloads as the kernel's build makes them: all but gzip are followed by the unpacked size. */
export const PAYLOADS: Readonly<Record<'zstd' | 'lz4' | 'gzip', (elf: Uint8Array) => Uint8Array>> = {
  zstd: (elf) => withSize(storedZstd(elf), elf.length),
  lz4: (elf) => withSize(storedLz4(elf), elf.length),
  gzip: (elf) => gzipSync(elf),
};
