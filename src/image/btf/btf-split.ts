import { byteView } from '../byte-view.ts';
import type { BtfFunctions, FunctionPrototype } from '../kernel-image.ts';
import { BTF_KIND, BTF_TYPE_SIZE, infoKind, infoVlen, readBtfLayout, readTypeStarts } from './btf-format.ts';
import { type BtfBase, pointeesOf, prototypeOf } from './btf-functions.ts';
import { stringEnd } from './btf-index.ts';
import type { BtfTypes } from './btf-types.ts';

/**
 * Types of a module: ids and strings go on where the kernel's end (Documentation/bpf/btf.rst, "split BTF"). A module's prototypes are few, so that all
 * are found at once.
 */
function splitTypes(
  bytes: Uint8Array,
  base: BtfBase,
): { readonly types: BtfTypes; readonly functions: readonly number[] } {
  const view = byteView(bytes, '.BTF');
  const layout = readBtfLayout(view, base.strings > 0);
  const starts = readTypeStarts(view, layout, base.strings);
  // starts[0] stands for void, which a split .BTF does not have of its own.
  const last = base.count + starts.length - 1;
  const isOwn = (id: number): boolean => id >= base.count && id < last;
  const at = (id: number): number => starts[id - base.count + 1] as number;
  const info = (id: number): number => view.u32(at(id) + 4);
  const string = (offset: number): string => {
    if (offset < base.strings) return base.types.string(offset);
    const start = layout.strings + offset - base.strings;
    if (start >= layout.stringsEnd) return '';
    return Buffer.from(view.bytes.subarray(start, stringEnd(view.bytes, start))).toString('latin1');
  };
  const functions: number[] = [];
  for (let id = base.count; id < last; id++) if (infoKind(info(id)) === BTF_KIND.FUNC) functions.push(id);
  const types: BtfTypes = {
    kind: (id) => (isOwn(id) ? infoKind(info(id)) : base.types.kind(id)),
    vlen: (id) => (isOwn(id) ? infoVlen(info(id)) : base.types.vlen(id)),
    sizeOrType: (id) => (isOwn(id) ? view.u32(at(id) + 8) : base.types.sizeOrType(id)),
    flag: (id) => (isOwn(id) ? info(id) >>> 31 === 1 : base.types.flag(id)),
    name: (id) => (isOwn(id) ? string(view.u32(at(id))) : base.types.name(id)),
    string,
    tail: (id, index) => (isOwn(id) ? view.u32(at(id) + BTF_TYPE_SIZE + index * 4) : base.types.tail(id, index)),
  };
  return { types, functions };
}

const EMPTY: BtfBase = {
  types: {
    kind: () => 0,
    vlen: () => 0,
    sizeOrType: () => 0,
    flag: () => false,
    name: () => '',
    string: () => '',
    tail: () => 0,
  },
  // Void and the empty string: a .BTF that stands alone has both itself.
  count: 1,
  strings: 0,
};

/** `base` is the kernel's; undefined for a .BTF that stands alone (.BTF.base was not given and the kernel has none). */
export function splitBtfFunctions(bytes: Uint8Array, base: BtfBase = EMPTY): BtfFunctions {
  const { types, functions } = splitTypes(bytes, base);
  const ids = new Map<string, number>();
  for (const id of functions) if (!ids.has(types.name(id))) ids.set(types.name(id), id);
  return {
    count: functions.length,
    id: (name) => ids.get(name),
    prototype: (name): FunctionPrototype | undefined => {
      const id = ids.get(name);
      return id === undefined ? undefined : prototypeOf(types, name, id);
    },
    pointees: (name) => {
      const id = ids.get(name);
      return id === undefined ? undefined : pointeesOf(types, id);
    },
    // Layouts are asked of the kernel only.
    struct: () => undefined,
  };
}
