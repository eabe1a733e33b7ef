/** Types of an object: what its .BTF says, with what clang leaves to its symbols filled in. */
import { BTF_KIND, type Btf, type BtfTypes, readBtf, stripBtf } from '../../image/index.ts';
import { type ElfFile, type ObjectSymbol, STB, STT, sectionNamed } from './elf-file.ts';
import { refuse, taken } from './object-fault.ts';

export const BTF_SECTION = '.BTF';
const CHAIN_MAX = 64;
const POINTER_SIZE = 8;

export interface Member {
  readonly name: string;
  readonly type: number;
  /** From the start of the structure. */
  readonly bitOffset: number;
  /** 0: no bit field. */
  readonly bitSize: number;
}

export const isComposite = (kind: number): boolean => kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION;
export const isEnum = (kind: number): boolean => kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64;

/** Member `index` of a structure or union. */
export function memberOf(types: BtfTypes, id: number, index: number): Member {
  const raw = types.tail(id, index * 3 + 2);
  // kind_flag: the size of a bit field is in the upper byte (struct btf_member, include/uapi/linux/btf.h).
  const hasSizes = types.flag(id);
  return {
    name: types.string(types.tail(id, index * 3)),
    type: types.tail(id, index * 3 + 1),
    bitOffset: hasSizes ? raw & 0xff_ffff : raw,
    bitSize: hasSizes ? raw >>> 24 : 0,
  };
}

/** Bytes of a type; undefined for what has no size (btf__resolve_size, tools/lib/bpf/btf.c, 6.12). */
export function resolveSize(types: BtfTypes, id: number): number | undefined {
  let factor = 1;
  let current = id;
  for (let step = 0; step < CHAIN_MAX; step++) {
    const bare = stripBtf(types, current);
    switch (types.kind(bare)) {
      case BTF_KIND.ARRAY:
        factor *= types.tail(bare, 2);
        current = types.tail(bare, 0);
        continue;
      case BTF_KIND.VAR:
        current = types.sizeOrType(bare);
        continue;
      case BTF_KIND.PTR:
        return sized(factor * POINTER_SIZE);
      case BTF_KIND.INT:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FLOAT:
      case BTF_KIND.DATASEC:
        return sized(factor * types.sizeOrType(bare));
      default:
        return undefined;
    }
  }
  return undefined;
}

const sized = (bytes: number): number | undefined => (bytes <= 0xffff_ffff ? bytes : undefined);

export interface DataVariable {
  readonly id: number;
  readonly name: string;
  /** Of its value. */
  readonly type: number;
  /** In its section. */
  readonly offset: number;
  readonly size: number;
  /** BTF_VAR_STATIC, and what is hidden. */
  readonly isStatic: boolean;
  /** BTF_VAR_GLOBAL_EXTERN: another one gives it. */
  readonly isExtern: boolean;
}

export interface DataSection {
  readonly id: number;
  readonly name: string;
  readonly variables: readonly DataVariable[];
}

/** An object's types; an object without .BTF has none. */
export interface ObjectBtf extends Btf {
  readonly dataSections: ReadonlyMap<string, DataSection>;
}

const VAR_STATIC = 0;
const VAR_EXTERN = 2;

/** A section without variables: its DATASEC's size is 0 and clang has put the offsets into relocations, which repeat the symbols. */
function dataSection(types: BtfTypes, id: number, symbols: ReadonlyMap<string, ObjectSymbol>): DataSection {
  const isUnfixed = types.sizeOrType(id) === 0;
  const variables = Array.from({ length: types.vlen(id) }, (_, index): DataVariable => {
    const variable = types.tail(id, index * 3);
    const isFunction = types.kind(variable) === BTF_KIND.FUNC;
    if (types.kind(variable) !== BTF_KIND.VAR && !isFunction)
      return refuse(BTF_SECTION, 0, `type ${id}, ${types.name(id)}, lists type ${variable}, which is no variable`);
    const name = types.name(variable);
    const linkage = isFunction ? VAR_EXTERN : types.tail(variable, 0);
    const symbol = symbols.get(name);
    const isOwn = linkage !== VAR_STATIC && linkage !== VAR_EXTERN;
    return {
      id: variable,
      name,
      type: types.sizeOrType(variable),
      offset: isUnfixed && isOwn ? (symbol?.value ?? 0) : types.tail(id, index * 3 + 1),
      size: types.tail(id, index * 3 + 2),
      isStatic: linkage === VAR_STATIC || (isOwn && symbol?.isHidden === true),
      isExtern: linkage === VAR_EXTERN,
    };
  });
  return { id, name: types.name(id), variables: variables.sort((a, b) => a.offset - b.offset) };
}

const NO_TYPES: BtfTypes = {
  kind: () => 0,
  vlen: () => 0,
  sizeOrType: () => 0,
  flag: () => false,
  name: () => '',
  string: () => '',
  tail: () => 0,
};

export function readObjectBtf(file: ElfFile): ObjectBtf {
  const section = sectionNamed(file, BTF_SECTION);
  if (section === undefined) return { types: NO_TYPES, count: 1, dataSections: new Map() };
  const btf = taken(readBtf(section.bytes));
  const symbols = new Map(
    file.symbols
      .filter(({ type, binding }) => type === STT.OBJECT && (binding === STB.GLOBAL || binding === STB.WEAK))
      .map((symbol) => [symbol.name, symbol]),
  );
  const dataSections = new Map<string, DataSection>();
  for (let id = 1; id < btf.count; id++) {
    if (btf.types.kind(id) !== BTF_KIND.DATASEC || dataSections.has(btf.types.name(id))) continue;
    dataSections.set(btf.types.name(id), dataSection(btf.types, id, symbols));
  }
  return { ...btf, dataSections };
}
