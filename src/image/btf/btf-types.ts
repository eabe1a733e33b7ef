import type { ByteView } from '../byte-view.ts';
import type { BtfKind } from '../kernel-image.ts';
import { BTF_KIND, BTF_TYPE_SIZE, type BtfLayout, infoKind, infoVlen } from './btf-format.ts';
import { stringEnd } from './btf-index.ts';

/** Chains of typedefs and qualifiers in real kernels are under 10 long; a cycle in a hostile file ends here. */
const CHAIN_MAX = 64;
const BOOL_ENCODING = 4;
const POINTER_SIZE = 8;

/** Random access to the types of one .BTF. Ids out of range read as void. */
export interface BtfTypes {
  kind(id: number): number;
  vlen(id: number): number;
  /** The u32 that is a size or a type id, by kind. */
  sizeOrType(id: number): number;
  /** kind_flag, bit 31 of info. */
  flag(id: number): boolean;
  name(id: number): string;
  string(offset: number): string;
  /** u32 `index` of what follows struct btf_type. */
  tail(id: number, index: number): number;
}

export function btfTypes(view: ByteView, layout: BtfLayout, typeStart: Uint32Array): BtfTypes {
  const known = (id: number): boolean => id > 0 && id < typeStart.length;
  const at = (id: number): number => typeStart[id] as number;
  const info = (id: number): number => (known(id) ? view.u32(at(id) + 4) : 0);
  const string = (offset: number): string => {
    const start = layout.strings + offset;
    if (start >= layout.stringsEnd) return '';
    return Buffer.from(view.bytes.subarray(start, stringEnd(view.bytes, start))).toString('latin1');
  };
  return {
    kind: (id) => infoKind(info(id)),
    vlen: (id) => infoVlen(info(id)),
    sizeOrType: (id) => (known(id) ? view.u32(at(id) + 8) : 0),
    flag: (id) => info(id) >>> 31 === 1,
    name: (id) => (known(id) ? string(view.u32(at(id))) : ''),
    string,
    tail: (id, index) => (known(id) ? view.u32(at(id) + BTF_TYPE_SIZE + index * 4) : 0),
  };
}

const isTransparent = (kind: number): boolean =>
  kind === BTF_KIND.TYPEDEF ||
  kind === BTF_KIND.VOLATILE ||
  kind === BTF_KIND.CONST ||
  kind === BTF_KIND.RESTRICT ||
  kind === BTF_KIND.TYPE_TAG;

/** The type behind typedefs, qualifiers and tags; void when they form a cycle. */
export function strip(types: BtfTypes, id: number): number {
  let current = id;
  for (let step = 0; step < CHAIN_MAX; step++) {
    if (!isTransparent(types.kind(current))) return current;
    current = types.sizeOrType(current);
  }
  return 0;
}

export function kindOf(types: BtfTypes, id: number): BtfKind {
  const bare = strip(types, id);
  switch (types.kind(bare)) {
    case BTF_KIND.INT:
      return ((types.tail(bare, 0) >>> 24) & BOOL_ENCODING) !== 0 ? 'bool' : 'int';
    case BTF_KIND.PTR:
      return 'pointer';
    case BTF_KIND.ARRAY:
      return 'array';
    case BTF_KIND.STRUCT:
      return 'struct';
    case BTF_KIND.UNION:
      return 'union';
    case BTF_KIND.FWD:
      return types.flag(bare) ? 'union' : 'struct';
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return 'enum';
    case BTF_KIND.FLOAT:
      return 'float';
    case BTF_KIND.FUNC_PROTO:
    case BTF_KIND.FUNC:
      return 'function';
    default:
      return 'void';
  }
}

/** Bytes; 0 for void, functions and incomplete types. */
export function sizeOf(types: BtfTypes, id: number): number {
  let factor = 1;
  let current = id;
  for (let step = 0; step < CHAIN_MAX; step++) {
    const bare = strip(types, current);
    switch (types.kind(bare)) {
      case BTF_KIND.ARRAY:
        factor *= types.tail(bare, 2);
        current = types.tail(bare, 0);
        continue;
      case BTF_KIND.PTR:
        return factor * POINTER_SIZE;
      case BTF_KIND.INT:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FLOAT:
        return factor * types.sizeOrType(bare);
      default:
        return 0;
    }
  }
  return 0;
}
