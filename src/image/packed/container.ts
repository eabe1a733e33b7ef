import { crc32 } from 'node:zlib';

/**
 * One buffer of a JSON header and typed arrays, so that a whole image can be handed between threads without copying and be read from a file in one go.
 *
 * Layout, little-endian: 16 bytes magic · u32 format version · u32 header length · u32 total length · u32 CRC-32 of all after these 32 bytes ·
 * header (JSON: `{columns: [[name, type, offset, length]…], meta}`) · columns, each at a multiple of 64.
 */
const MAGIC = Buffer.from('ktextd image\r\n\x1a\0', 'latin1');
const PREAMBLE = 32;
const ALIGNMENT = 64;

const TYPES = {
  u8: Uint8Array,
  u32: Uint32Array,
  u64: BigUint64Array,
} as const;

type ColumnType = keyof typeof TYPES;
export type Column = Uint8Array | Uint32Array | BigUint64Array;
export type Columns = Readonly<Record<string, Column>>;

export interface Packed {
  readonly meta: unknown;
  u8(name: string): Uint8Array;
  u32(name: string): Uint32Array;
  u64(name: string): BigUint64Array;
}

type Directory = readonly (readonly [name: string, type: ColumnType, offset: number, length: number])[];

const align = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

const typeOf = (column: Column): ColumnType =>
  column instanceof Uint8Array ? 'u8' : column instanceof Uint32Array ? 'u32' : 'u64';

/** `version` is the loader's: a file of another one is not read. Offsets in the directory count from the first column. */
export function pack(version: number, meta: unknown, columns: Columns): Uint8Array<ArrayBuffer> {
  let place = 0;
  const directory: Directory = Object.entries(columns).map(([name, column]) => {
    const at = place;
    place += align(column.byteLength);
    return [name, typeOf(column), at, column.length] as const;
  });
  const header = Buffer.from(JSON.stringify({ columns: directory, meta }));
  const start = align(PREAMBLE + header.length);
  const packed = new Uint8Array(start + place);
  packed.set(header, PREAMBLE);
  for (const [name, , offset] of directory) {
    const column = columns[name] as Column;
    packed.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), start + offset);
  }
  const view = new DataView(packed.buffer);
  packed.set(MAGIC, 0);
  view.setUint32(16, version, true);
  view.setUint32(20, header.length, true);
  view.setUint32(24, packed.length, true);
  view.setUint32(28, crc32(packed.subarray(PREAMBLE)), true);
  return packed;
}

function readHeader(
  bytes: Uint8Array,
  length: number,
): { readonly columns: Directory; readonly meta: unknown } | undefined {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + PREAMBLE, length).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Views into `bytes` (which must start at a multiple of 8 in its buffer); undefined when they are no intact container of that version. */
export function unpack(version: number, bytes: Uint8Array): Packed | undefined {
  if (bytes.length < PREAMBLE || bytes.byteOffset % 8 !== 0 || Buffer.compare(bytes.subarray(0, 16), MAGIC) !== 0)
    return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getUint32(20, true);
  if (view.getUint32(16, true) !== version || view.getUint32(24, true) !== bytes.length) return undefined;
  if (PREAMBLE + headerLength > bytes.length || crc32(bytes.subarray(PREAMBLE)) !== view.getUint32(28, true))
    return undefined;
  const header = readHeader(bytes, headerLength);
  if (header === undefined) return undefined;
  const start = bytes.byteOffset + align(PREAMBLE + headerLength);
  const columns = new Map<string, Column>();
  for (const [name, type, offset, length] of header.columns) {
    columns.set(name, new TYPES[type](bytes.buffer as ArrayBuffer, start + offset, length));
  }
  const column = <T extends Column>(name: string, kind: new (length: number) => T): T => {
    const found = columns.get(name);
    if (!(found instanceof kind)) throw new TypeError(`no column ${name} of ${kind.name}`);
    return found;
  };
  return {
    meta: header.meta,
    u8: (name) => column(name, Uint8Array),
    u32: (name) => column(name, Uint32Array),
    u64: (name) => column(name, BigUint64Array),
  };
}
