import { chained, hashBytes, sameBytes } from '../byte-hash.ts';
import { byteView } from '../byte-view.ts';
import type { BtfFunctions, FunctionPrototype, Parameter, Pointee } from '../kernel-image.ts';
import { BTF_KIND, readBtfLayout } from './btf-format.ts';
import { type BtfIndex, stringEnd } from './btf-index.ts';
import { findStruct } from './btf-struct.ts';
import { type BtfTypes, btfTypes, kindOf, sizeOf, strip } from './btf-types.ts';
import { type Budget, declare, parameterList, STEPS_MAX } from './c-text.ts';

function parameters(types: BtfTypes, proto: number, count: number, budget: Budget): Parameter[] {
  return Array.from({ length: count }, (_, i) => {
    const type = types.tail(proto, i * 2 + 1);
    return {
      name: types.string(types.tail(proto, i * 2)),
      type: declare(types, type, '', budget),
      kind: kindOf(types, type),
      size: sizeOf(types, type),
    };
  });
}

export function prototypeOf(types: BtfTypes, name: string, id: number): FunctionPrototype | undefined {
  const proto = types.sizeOrType(id);
  if (types.kind(proto) !== BTF_KIND.FUNC_PROTO) return undefined;
  const vlen = types.vlen(proto);
  const isVariadic = vlen > 0 && types.tail(proto, (vlen - 1) * 2 + 1) === 0;
  const result = types.sizeOrType(proto);
  const budget = { steps: STEPS_MAX };
  return {
    text: declare(types, result, `${name}(${parameterList(types, proto, budget, 0)})`, budget),
    params: parameters(types, proto, isVariadic ? vlen - 1 : vlen, budget),
    result: { type: declare(types, result, '', budget), kind: kindOf(types, result), size: sizeOf(types, result) },
    isVariadic,
  };
}

/** What a module's split .BTF continues. */
export interface BtfBase {
  readonly types: BtfTypes;
  /** Ids, void included. */
  readonly count: number;
  /** Bytes of strings. */
  readonly strings: number;
  /** The section, of what is indexed. */
  readonly bytes?: Uint8Array;
}

const BASES = new WeakMap<BtfFunctions, BtfBase>();

/** The types behind look-ups made by {@link btfFunctions}. */
export const btfBaseOf = (functions: BtfFunctions): BtfBase | undefined => BASES.get(functions);

/** Says that `functions` goes beyond `core`, whose types stay its base. */
export function extendsBtf(functions: BtfFunctions, core: BtfFunctions): BtfFunctions {
  const base = BASES.get(core);
  if (base !== undefined) BASES.set(functions, base);
  return functions;
}

/** What the parameters of a FUNC point to. */
export function pointeesOf(types: BtfTypes, id: number): readonly (Pointee | undefined)[] | undefined {
  const proto = types.sizeOrType(id);
  if (types.kind(proto) !== BTF_KIND.FUNC_PROTO) return undefined;
  return Array.from({ length: types.vlen(proto) }, (_, i) => {
    const bare = strip(types, types.tail(proto, i * 2 + 1));
    if (types.kind(bare) !== BTF_KIND.PTR) return undefined;
    const target = types.sizeOrType(bare);
    return { kind: kindOf(types, target), size: sizeOf(types, target) };
  });
}

/** Look-ups in an indexed .BTF; prototypes are made when asked for. */
export function btfFunctions(bytes: Uint8Array, index: BtfIndex): BtfFunctions {
  const view = byteView(bytes, '.BTF');
  const layout = readBtfLayout(view);
  const types = btfTypes(view, layout, index.typeStart);
  const id = (name: string): number | undefined => {
    const wanted = Buffer.from(name, 'latin1');
    for (const i of chained(index.chains, hashBytes(wanted, 0, wanted.length))) {
      const found = index.functions[i] as number;
      const start = layout.strings + view.u32(index.typeStart[found] as number);
      if (sameBytes(bytes, start, stringEnd(bytes, start), wanted)) return found;
    }
    return undefined;
  };
  const functions: BtfFunctions = {
    count: index.functions.length,
    id,
    prototype: (name) => {
      const found = id(name);
      return found === undefined ? undefined : prototypeOf(types, name, found);
    },
    pointees: (name) => {
      const found = id(name);
      return found === undefined ? undefined : pointeesOf(types, found);
    },
    struct: (tag) => findStruct(types, index.typeStart.length, tag),
  };
  BASES.set(functions, { types, bytes, count: index.typeStart.length, strings: layout.stringsEnd - layout.strings });
  return functions;
}
