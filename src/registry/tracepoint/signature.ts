/** What a tracepoint passes to its probes, by the kernel's BTF. */
import { BTF_KIND, type Btf, type KernelImage, kernelBtf } from '../../image/index.ts';

export interface TraceSignature {
  /** The typedef `btf_trace_NAME` or, in a kernel without, the FUNC `__traceiter_NAME`: both begin with `void *__data`. */
  readonly btfId: number;
  /** Arguments behind `__data`; each becomes one word of a program's context. */
  readonly args: number;
}

const PREFIX = 'btf_trace_';
const TYPEDEFS = new WeakMap<Btf, ReadonlyMap<string, number>>();

function typedefsOf(btf: Btf): ReadonlyMap<string, number> {
  const known = TYPEDEFS.get(btf);
  if (known !== undefined) return known;
  const found = new Map<string, number>();
  const { types } = btf;
  for (let id = 1; id < btf.count; id++) {
    if (types.kind(id) !== BTF_KIND.TYPEDEF) continue;
    const name = types.name(id);
    if (name.startsWith(PREFIX)) found.set(name.slice(PREFIX.length), id);
  }
  TYPEDEFS.set(btf, found);
  return found;
}

/** Undefined when BTF does not tell. */
export function traceSignature(image: KernelImage, name: string): TraceSignature | undefined {
  const btf = kernelBtf(image);
  if (btf === undefined) return undefined;
  const { types } = btf;
  const typedef = typedefsOf(btf).get(name);
  if (typedef !== undefined) {
    const proto = types.sizeOrType(types.sizeOrType(typedef));
    return types.kind(proto) === BTF_KIND.FUNC_PROTO ? { btfId: typedef, args: types.vlen(proto) - 1 } : undefined;
  }
  const func = image.btf?.id(`__traceiter_${name}`);
  if (func === undefined || func >= btf.count) return undefined;
  return { btfId: func, args: types.vlen(types.sizeOrType(func)) - 1 };
}
