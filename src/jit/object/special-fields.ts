/** What of a map's value is more than bytes to the kernel: btf_find_field of kernel/bpf/btf.c (6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import { memberOf } from './object-btf.ts';

const DEPTH_MAX = 8;
const STRUCTURES: ReadonlySet<string> = new Set([
  'bpf_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_list_head',
  'bpf_rb_root',
  'bpf_refcount',
]);
const TAGS: ReadonlySet<string> = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr']);

/** The name of the first such structure or pointer tag in a type, in its structures and arrays; undefined when all of it is bytes. */
export function specialField(types: BtfTypes, id: number, depth = 0): string | undefined {
  const bare = stripBtf(types, id);
  switch (types.kind(bare)) {
    case BTF_KIND.ARRAY:
      return depth < DEPTH_MAX ? specialField(types, types.tail(bare, 0), depth + 1) : undefined;
    case BTF_KIND.PTR: {
      const pointee = types.sizeOrType(bare);
      const tag = types.kind(pointee) === BTF_KIND.TYPE_TAG ? types.name(pointee) : '';
      return TAGS.has(tag) ? tag : undefined;
    }
    case BTF_KIND.STRUCT: {
      const name = types.name(bare);
      if (STRUCTURES.has(name)) return name;
      for (let index = 0; depth < DEPTH_MAX && index < types.vlen(bare); index++) {
        const found = specialField(types, memberOf(types, bare, index).type, depth + 1);
        if (found !== undefined) return found;
      }
      return undefined;
    }
    default:
      return undefined;
  }
}
