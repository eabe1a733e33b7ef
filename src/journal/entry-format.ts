/**
 * How one entry lies in the store: 4 bytes of CRC-32 over what follows, one byte of format version, then JSON in UTF-8. The checksum is
 * ours because LMDB has none: a page that the disk changed must be found by us, and named.
 */
import { crc32 } from 'node:zlib';

export const FORMAT_VERSION = 1;
const HEADER_SIZE = 5;

export const encodeEntry = (value: unknown, version = FORMAT_VERSION): Uint8Array =>
  encodeEntryText(JSON.stringify(value), version);

/** The same of what is JSON already. */
export function encodeEntryText(json: string, version = FORMAT_VERSION): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_SIZE + Buffer.byteLength(json));
  bytes.writeUInt8(version, 4);
  bytes.write(json, HEADER_SIZE, 'utf8');
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

export type DecodedEntry =
  | { readonly kind: 'entry'; readonly value: unknown; readonly version: number }
  | { readonly kind: 'damaged'; readonly reason: string };

export function decodeEntry(bytes: Uint8Array): DecodedEntry {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length <= HEADER_SIZE) return { kind: 'damaged', reason: `${buffer.length} bytes are too few` };
  const [expected, actual] = [buffer.readUInt32LE(0), crc32(buffer.subarray(4))];
  if (expected !== actual) return { kind: 'damaged', reason: `checksum ${hex(actual)}, stored ${hex(expected)}` };
  const version = buffer.readUInt8(4);
  try {
    return { kind: 'entry', value: JSON.parse(buffer.toString('utf8', HEADER_SIZE)), version };
  } catch (error) {
    return { kind: 'damaged', reason: (error as Error).message };
  }
}

const hex = (word: number): string => `0x${word.toString(16).padStart(8, '0')}`;
