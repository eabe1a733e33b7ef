/** Grows as it is written; little-endian. */
export interface ByteWriter {
  readonly length: number;
  bytes(values: ArrayLike<number>): ByteWriter;
  text(value: string): ByteWriter;
  u8(value: number): ByteWriter;
  u16(value: number): ByteWriter;
  u32(value: number): ByteWriter;
  u64(value: bigint): ByteWriter;
  /** Zeros up to a multiple. */
  align(multiple: number, fill?: number): ByteWriter;
  /** Overwrites a u32 that was written before. */
  patch32(at: number, value: number): void;
  done(): Uint8Array;
}

export function byteWriter(): ByteWriter {
  let buffer = new Uint8Array(1024);
  let length = 0;
  const room = (size: number): number => {
    if (length + size > buffer.length) {
      const grown = new Uint8Array(Math.max(buffer.length * 2, length + size));
      grown.set(buffer);
      buffer = grown;
    }
    length += size;
    return length - size;
  };
  const view = (): DataView => new DataView(buffer.buffer);
  const writer: ByteWriter = {
    get length() {
      return length;
    },
    bytes: (values) => {
      const at = room(values.length);
      buffer.set(values, at);
      return writer;
    },
    text: (value) => writer.bytes(Buffer.from(value, 'latin1')),
    u8: (value) => {
      const at = room(1);
      view().setUint8(at, value);
      return writer;
    },
    u16: (value) => {
      const at = room(2);
      view().setUint16(at, value, true);
      return writer;
    },
    u32: (value) => {
      const at = room(4);
      view().setUint32(at, value, true);
      return writer;
    },
    u64: (value) => {
      const at = room(8);
      view().setBigUint64(at, BigInt.asUintN(64, value), true);
      return writer;
    },
    align: (multiple, fill = 0) => {
      while (length % multiple !== 0) writer.u8(fill);
      return writer;
    },
    patch32: (at, value) => view().setUint32(at, value, true),
    done: () => buffer.slice(0, length),
  };
  return writer;
}
