/** Up to here a loop is faster than the call into the runtime: an instruction. */
const SHORT = 16;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hex without separators, the wire form of bytes. */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length <= SHORT) {
    let text = '';
    for (const byte of bytes) text += HEX[byte];
    return text;
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Reads the wire form; undefined for an odd length or a digit that is none. */
export function fromHex(text: string): Uint8Array | undefined {
  return text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? Uint8Array.from(Buffer.from(text, 'hex')) : undefined;
}

/** For the few bytes of an instruction this is several times faster than `slice`. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) copy[i] = bytes[i] as number;
  return copy;
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  if (a.length > SHORT) return Buffer.compare(a, b) === 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A memory that can be read and never written: what everyone outside textpoke sees of text. Offsets count from `_text`. */
export interface ReadableText {
  /** True when every byte of [offset, offset + length) exists. */
  contains(offset: number, length: number): boolean;
  /** One byte; throws InvariantViolation outside the text. */
  u8(offset: number): number;
  /** A copy of [offset, offset + length); throws InvariantViolation outside the text. */
  bytes(offset: number, length: number): Uint8Array;
}
