import { byteWriter } from './byte-writer.ts';

/** Writes a .BTF type by type; ids count from 1. */
export interface BtfWriter {
  int(name: string, size: number, encoding?: number): number;
  pointer(to: number): number;
  array(of: number, index: number, length: number): number;
  struct(name: string, size: number): number;
  typedef(name: string, to: number): number;
  constant(to: number): number;
  proto(result: number, params: readonly (readonly [name: string, type: number])[]): number;
  func(name: string, proto: number): number;
  done(): Uint8Array;
}

export function btfWriter(): BtfWriter {
  const types = byteWriter();
  const strings = byteWriter().u8(0);
  let count = 0;
  const name = (text: string): number => {
    if (text === '') return 0;
    const at = strings.length;
    strings.text(text).u8(0);
    return at;
  };
  const type = (text: string, kind: number, vlen: number, sizeOrType: number): number => {
    types
      .u32(name(text))
      .u32(((kind << 24) | vlen) >>> 0)
      .u32(sizeOrType);
    return ++count;
  };
  return {
    int: (text, size, encoding = 0) => {
      const id = type(text, 1, 0, size);
      types.u32((encoding << 24) | (size * 8));
      return id;
    },
    pointer: (to) => type('', 2, 0, to),
    array: (of, index, length) => {
      const id = type('', 3, 0, 0);
      types.u32(of).u32(index).u32(length);
      return id;
    },
    struct: (text, size) => type(text, 4, 0, size),
    typedef: (text, to) => type(text, 8, 0, to),
    constant: (to) => type('', 10, 0, to),
    proto: (result, params) => {
      const named = params.map(([text, of]) => [name(text), of] as const);
      const id = type('', 13, params.length, result);
      for (const [at, of] of named) types.u32(at).u32(of);
      return id;
    },
    func: (text, proto) => type(text, 12, 1, proto),
    done: () => {
      const out = byteWriter();
      out.u16(0xeb9f).u8(1).u8(0).u32(24).u32(0).u32(types.length).u32(types.length).u32(strings.length);
      return out.bytes(types.done()).bytes(strings.done()).done();
    },
  };
}
