import { refuse } from './object-fault.ts';

/** Little-endian reads with bounds: what is read past the end of a section is refused with section and offset. */
export interface SectionView {
  readonly section: string;
  readonly bytes: Uint8Array;
  readonly length: number;
  u8(at: number): number;
  u16(at: number): number;
  u32(at: number): number;
  s32(at: number): number;
  /** A 64-bit value that must fit a double exactly. */
  size(at: number): number;
  /** The NUL-terminated string at `at`. */
  string(at: number): string;
}

/** Names of symbols may be C++'s; KSYM_NAME_LEN is 512. */
const STRING_MAX = 4096;

export function sectionView(bytes: Uint8Array, section: string): SectionView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (at: number, length: number): number => {
    if (at < 0 || at + length > bytes.length)
      refuse(section, at, `${length} bytes are needed, ${Math.max(0, bytes.length - at)} are left`);
    return at;
  };
  return {
    section,
    bytes,
    length: bytes.length,
    u8: (at) => view.getUint8(need(at, 1)),
    u16: (at) => view.getUint16(need(at, 2), true),
    u32: (at) => view.getUint32(need(at, 4), true),
    s32: (at) => view.getInt32(need(at, 4), true),
    size: (at) => {
      const value = view.getBigUint64(need(at, 8), true);
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) refuse(section, at, `0x${value.toString(16)} is no size`);
      return Number(value);
    },
    string: (at) => {
      const end = at < bytes.length ? bytes.indexOf(0, at) : -1;
      if (end < 0 || end - at > STRING_MAX) refuse(section, at, 'no string ends here');
      return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString('latin1');
    },
  };
}
