import { crc32 } from 'node:zlib';
import { type ByteView, byteView } from '../byte-view.ts';
import { ImageFault, refuse, unsupported } from '../malformed.ts';
import { lzmaDecoder } from './lzma.ts';
import { decodeX86Bcj } from './x86-bcj.ts';

/** The .xz file format 1.2.0 (tukaani.org/xz/xz-file-format.txt), as far as the kernel's build uses it: one stream, filters x86 and LZMA2. */
const STREAM_HEADER = 12;
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
/** Sizes of the check field by its type. */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const CHECK_CRC32 = 1;
const HAS_PACKED_SIZE = 0x40;
const HAS_UNPACKED_SIZE = 0x80;

/** A variable-length integer of up to 9 bytes; returns it and the place after it. */
function readVariable(view: ByteView, at: number): readonly [number, number] {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = view.u8(at + i);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  return refuse('xz block header', at, 'a number of more than 9 bytes');
}

/** Whether a block's filters are x86 + LZMA2 (true) or LZMA2 alone (false). */
function readBlockHeader(view: ByteView, start: number): { readonly end: number; readonly isX86: boolean } {
  const length = (view.u8(start) + 1) * 4;
  const end = start + length;
  if (crc32(view.slice(start, length - 4)) !== view.u32(end - 4))
    refuse('xz block header', start, 'its CRC-32 differs');
  const flags = view.u8(start + 1);
  let at = start + 2;
  if ((flags & HAS_PACKED_SIZE) !== 0) [, at] = readVariable(view, at);
  if ((flags & HAS_UNPACKED_SIZE) !== 0) [, at] = readVariable(view, at);
  const filters: number[] = [];
  for (let i = 0; i <= (flags & 3); i++) {
    const [id, sizeAt] = readVariable(view, at);
    const [size, properties] = readVariable(view, sizeAt);
    filters.push(id);
    at = properties + size;
    if (at > end - 4) refuse('xz block header', sizeAt, 'its filters run past it');
  }
  if (filters.at(-1) !== FILTER_LZMA2 || filters.length > 2 || (filters.length === 2 && filters[0] !== FILTER_X86)) {
    throw new ImageFault(unsupported(`an xz payload with the filters ${filters.join(', ')}: x86 and LZMA2 are read`));
  }
  return { end, isX86: filters.length === 2 };
}

/** LZMA2: chunks that are copied or LZMA-coded, each up to 2 MiB unpacked. Returns the place after the end marker. */
function decodeLzma2(
  view: ByteView,
  start: number,
  out: Uint8Array,
): { readonly end: number; readonly written: number } {
  const decoder = lzmaDecoder(out);
  let at = start;
  let isReady = false;
  for (;;) {
    const control = view.u8(at);
    if (control === 0) return { end: at + 1, written: decoder.written };
    if (control === 1 || control >= 0xe0) decoder.resetDictionary();
    if (control < 0x80) {
      if (control > 2) refuse('LZMA2 chunk', at, `control byte 0x${control.toString(16)}`);
      const size = view.u8(at + 1) * 256 + view.u8(at + 2) + 1;
      decoder.copy(view.slice(at + 3, size));
      at += 3 + size;
      continue;
    }
    const unpacked = (control & 0x1f) * 65536 + view.u8(at + 1) * 256 + view.u8(at + 2) + 1;
    const packed = view.u8(at + 3) * 256 + view.u8(at + 4) + 1;
    let data = at + 5;
    if (control >= 0xc0) {
      decoder.setProperties(view.u8(data++));
      isReady = true;
    } else if (!isReady) refuse('LZMA2 chunk', at, 'the first has no properties');
    else if (control >= 0xa0) decoder.resetState();
    view.slice(data, packed);
    const end = decoder.decode(view.bytes, data, data + packed, unpacked);
    if (end !== data + packed) refuse('LZMA2 chunk', at, `${data + packed - end} of its bytes are left over`);
    at = data + packed;
  }
}

/** Decodes the one block of an .xz stream to `size` bytes. CRC-32 checks are verified, others (which the kernel's build does not use) are not. */
export function decodeXz(src: Uint8Array, size: number): Uint8Array {
  const view = byteView(src, 'xz payload');
  if (crc32(view.slice(6, 2)) !== view.u32(8)) refuse('xz stream header', 8, 'its CRC-32 differs');
  const check = view.u8(7) & 0x0f;
  if (view.u8(STREAM_HEADER) === 0) refuse('xz stream', STREAM_HEADER, 'no block');
  const header = readBlockHeader(view, STREAM_HEADER);
  const out = new Uint8Array(size);
  const { end, written } = decodeLzma2(view, header.end, out);
  if (written !== size) refuse('xz payload', end, `${written} bytes unpacked, ${size} declared`);
  if (header.isX86) decodeX86Bcj(out);
  const checkAt = header.end + Math.ceil((end - header.end) / 4) * 4;
  view.slice(checkAt, CHECK_SIZES[check] as number);
  if (check === CHECK_CRC32 && crc32(out) !== view.u32(checkAt))
    refuse('xz payload', checkAt, 'the CRC-32 of what it unpacks to differs');
  return out;
}
