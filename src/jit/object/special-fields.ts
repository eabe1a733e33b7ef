/** What of a map's value is more than bytes to the kernel: btf_find_field of kernel/bpf/btf.c (6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import { SPIN_LOCK_SIZE } from '../maps/index.ts';
import { memberOf } from './object-btf.ts';

const DEPTH_MAX = 8;
const SPIN_LOCK = 'bpf_spin_lock';
const STRUCTURES: ReadonlySet<string> = new Set([
  'bpf_timer',
  'bpf_wq',
  'bpf_list_head',
  'bpf_rb_root',
  'bpf_refcount',
]);
const TAGS: ReadonlySet<string> = new Set(['kptr', 'kptr_untrusted', 'percpu_kptr']);

/** The name of the first such structure or pointer tag in a type, in its structures and arrays; undefined when all of it is bytes, or a spin lock. */
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

interface Place {
  readonly at: number;
  /** There is one in each element of an array, which the kernel does not take. */
  readonly isRepeated: boolean;
}

/** What a member or variable of type `id` has of them; typedefs and qualifiers hide one, as they do from the kernel. */
function* locksIn(types: BtfTypes, id: number, at: number, isRepeated: boolean, depth: number): Generator<Place> {
  if (depth > LOCK_DEPTH_MAX) return;
  if (types.kind(id) === BTF_KIND.ARRAY) {
    const elements = types.tail(id, 2);
    if (elements > 0) yield* locksIn(types, types.tail(id, 0), at, isRepeated || elements > 1, depth + 1);
  } else if (types.kind(id) === BTF_KIND.STRUCT) {
    if (types.name(id) === SPIN_LOCK) yield { at, isRepeated };
    else
      for (let index = 0; index < types.vlen(id); index++) {
        const { type, bitOffset } = memberOf(types, id, index);
        yield* locksIn(types, type, at + bitOffset / 8, isRepeated, depth + 1);
      }
  }
}

const LOCK_DEPTH_MAX = 32;

/** A type and where it is in a map's value. */
export interface PlacedType {
  readonly type: number;
  readonly offset: number;
}

/**
 * Where the spin lock of a map's value is, which is a structure or the variables of a section (btf_parse_fields, kernel/bpf/btf.c, 6.12). Undefined:
 * there is none, or one that the kernel does not take: one of two, one in an array, one that is not aligned.
 */
export function spinLockOf(types: BtfTypes, value: readonly PlacedType[]): number | undefined {
  const [lock, ...others] = value.flatMap(({ type, offset }) => [...locksIn(types, type, offset, false, 0)]);
  const isTaken = lock !== undefined && others.length === 0 && !lock.isRepeated && lock.at % SPIN_LOCK_SIZE === 0;
  return isTaken ? lock.at : undefined;
}
