import { refuse } from '../malformed.ts';

/** Magic of the legacy frame: `lz4 -l`, what the kernel's build makes. */
export const LZ4_LEGACY_MAGIC = 0x184c2102;
/** Uncompressed size of every block but the last (lz4's LEGACY_BLOCKSIZE, lib/decompress_unlz4.c's LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE). */
const BLOCK_SIZE = 8 << 20;
/** A block that does not compress grows by 1 byte in 255 and a few. */
const BLOCK_BOUND = BLOCK_SIZE + Math.ceil(BLOCK_SIZE / 255) + 16;
const MIN_MATCH = 4;

/** Length that continues in further bytes while they are 255; returns it and the place after it. */
function extend(src: Uint8Array, at: number, end: number, length: number): readonly [number, number] {
  let total = length;
  for (let place = at; place < end; place++) {
    const byte = src[place] as number;
    total += byte;
    if (byte !== 255) return [total, place + 1];
  }
  return refuse('LZ4 block', at, 'a length runs past the block');
}

/**
 * Decodes one LZ4 block (the block format's specification, version 1.5.1) into `dst` from `start`; returns the place after what was
 * written. Matches may reach back to `start` only. Work is bounded by what is written.
 */
export function decodeLz4Block(src: Uint8Array, from: number, end: number, dst: Uint8Array, start: number): number {
  let at = from;
  let out = start;
  while (at < end) {
    const token = src[at++] as number;
    let literals = token >> 4;
    if (literals === 15) [literals, at] = extend(src, at, end, literals);
    if (at + literals > end) refuse('LZ4 block', at, `${literals} literals run past the block`);
    if (out + literals > dst.length) refuse('LZ4 block', at, 'more output than the size after the payload declares');
    if (literals < 32) for (let i = 0; i < literals; i++) dst[out + i] = src[at + i] as number;
    else dst.set(src.subarray(at, at + literals), out);
    at += literals;
    out += literals;
    if (at === end) return out;
    if (at + 2 > end) refuse('LZ4 block', at, 'half a match');
    const distance = (src[at] as number) | ((src[at + 1] as number) << 8);
    at += 2;
    let length = token & 15;
    if (length === 15) [length, at] = extend(src, at, end, length);
    length += MIN_MATCH;
    if (distance === 0 || out - distance < start) refuse('LZ4 block', at, `a match reaches ${distance} bytes back`);
    if (out + length > dst.length) refuse('LZ4 block', at, 'more output than the size after the payload declares');
    if (distance >= length && length >= 32) dst.copyWithin(out, out - distance, out - distance + length);
    else for (let i = out, stop = out + length; i < stop; i++) dst[i] = dst[i - distance] as number;
    out += length;
  }
  return out;
}

/** Decodes a legacy frame: the magic, then u32 block length and block, until the input ends. `size`: of the output, bytes. */
export function decodeLz4Legacy(src: Uint8Array, size: number): Uint8Array {
  const view = new DataView(src.buffer, src.byteOffset, src.byteLength);
  const dst = new Uint8Array(size);
  let out = 0;
  let at = 4;
  while (at < src.length) {
    if (at + 4 > src.length) refuse('LZ4 frame', at, 'half a block length');
    const length = view.getUint32(at, true);
    if (length === LZ4_LEGACY_MAGIC) {
      at += 4;
      continue;
    }
    if (length === 0 || length > BLOCK_BOUND) refuse('LZ4 frame', at, `a block of ${length} bytes`);
    if (at + 4 + length > src.length) refuse('LZ4 frame', at, `a block of ${length} bytes runs past the payload`);
    at += 4;
    out = decodeLz4Block(src, at, at + length, dst, out);
    at += length;
  }
  if (out !== size) refuse('LZ4 frame', at, `${out} bytes unpacked, ${size} declared`);
  return dst;
}
