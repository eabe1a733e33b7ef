/** Types of a whole .BTF by what they are called, for who asks rarely: every question looks at all of them, and is remembered. */
import type { Btf } from './btf.ts';
import { BTF_KIND } from './btf-format.ts';
import type { BtfTypes } from './btf-types.ts';

const PERCPU_SECTION = '.data..percpu';

const named = new WeakMap<BtfTypes, Map<number, ReadonlyMap<string, number>>>();
const perCpu = new WeakMap<Btf, ReadonlySet<number>>();

/** The first type of a kind that has a name (btf_find_by_name_kind); undefined when there is none. */
export function typeNamed(types: BtfTypes, kind: number, name: string): number | undefined {
  const kinds = named.get(types) ?? new Map<number, ReadonlyMap<string, number>>();
  named.set(types, kinds);
  const ids = kinds.get(kind) ?? idsOf(types, kind);
  kinds.set(kind, ids);
  return ids.get(name);
}

function idsOf(types: BtfTypes, kind: number): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  // Behind the last type there is none, and a type is of some kind.
  for (let id = 1; types.kind(id) !== BTF_KIND.UNKN; id++) {
    const name = types.kind(id) === kind ? types.name(id) : undefined;
    if (name !== undefined && !ids.has(name)) ids.set(name, id);
  }
  return ids;
}

/** VARs that each CPU has one of: those of the section of per-CPU data (find_btf_percpu_datasec, kernel/bpf/verifier.c, 6.12). */
export function perCpuVariables(btf: Btf): ReadonlySet<number> {
  const known = perCpu.get(btf);
  if (known !== undefined) return known;
  const { types } = btf;
  const section = typeNamed(types, BTF_KIND.DATASEC, PERCPU_SECTION);
  const count = section === undefined ? 0 : types.vlen(section);
  const ids = new Set(Array.from({ length: count }, (_, index) => types.tail(section ?? 0, index * 3)));
  perCpu.set(btf, ids);
  return ids;
}
