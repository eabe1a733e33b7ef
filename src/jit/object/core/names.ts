/** Names as CO-RE compares them. */
import { BTF_KIND, type Btf } from '../../../image/index.ts';

/**
 * A name without its flavour: `sock___old` is `sock`. The last `___` between two characters that are no underscores separates them
 * (bpf_core_essential_name_len, tools/lib/bpf/libbpf.c, 6.12).
 */
export function essentialName(name: string): string {
  for (let i = name.length - 5; i >= 0; i--) {
    if (name[i] !== '_' && name.startsWith('___', i + 1) && name[i + 4] !== '_') return name.slice(0, i + 1);
  }
  return name;
}

const isNamedType = (kind: number): boolean =>
  kind !== BTF_KIND.FUNC && kind !== BTF_KIND.VAR && kind !== BTF_KIND.DATASEC && kind !== BTF_KIND.DECL_TAG;

export type TypesByName = ReadonlyMap<string, readonly number[]>;

const INDEXES = new WeakMap<Btf, TypesByName>();

/** Ids by essential name, ascending. Walks all types once for each kernel. */
export function typesByName(btf: Btf): TypesByName {
  const known = INDEXES.get(btf);
  if (known !== undefined) return known;
  const made = new Map<string, number[]>();
  for (let id = 1; id < btf.count; id++) {
    if (!isNamedType(btf.types.kind(id))) continue;
    const name = btf.types.name(id);
    if (name === '') continue;
    const key = essentialName(name);
    const list = made.get(key);
    if (list === undefined) made.set(key, [id]);
    else list.push(id);
  }
  INDEXES.set(btf, made);
  return made;
}
