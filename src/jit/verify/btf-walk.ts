import { BTF_KIND, type BtfTypes, stripBtf } from '../../image/index.ts';
import { type Env, Rejected } from './env.ts';
import { MEM_PERCPU, MEM_RCU, MEM_USER, PTR_UNTRUSTED } from './reg.ts';

const K = BTF_KIND;
/** Structs nest a few levels in real kernels; a cycle in a hostile file ends here. */
const DEPTH_MAX = 64;

export const isRecord = (btf: BtfTypes, id: number): boolean => btf.kind(id) === K.STRUCT || btf.kind(id) === K.UNION;

const TAG_FLAGS: Readonly<Record<string, number>> = { user: MEM_USER, percpu: MEM_PERCPU, rcu: MEM_RCU };

/** What a type tag right behind a pointer says of what it points to. */
export const tagFlags = (btf: BtfTypes, pointee: number): number =>
  btf.kind(pointee) === K.TYPE_TAG ? (TAG_FLAGS[btf.name(pointee)] ?? 0) : 0;

interface Resolved {
  /** An array is its element's type, with `elements`. */
  readonly id: number;
  readonly isArray: boolean;
  /** Bytes, of an array as a whole. */
  readonly size: number;
  readonly elements: number;
}

/** __btf_resolve_size: what is behind modifiers and arrays, and how large it is; undefined when it has no size. */
function resolve(btf: BtfTypes, id: number): Resolved | undefined {
  let current = stripBtf(btf, id);
  let elements = 1;
  let isArray = false;
  for (let depth = 0; depth < DEPTH_MAX && btf.kind(current) === K.ARRAY; depth++) {
    isArray = true;
    elements *= btf.tail(current, 2);
    current = stripBtf(btf, btf.tail(current, 0));
  }
  const kind = btf.kind(current);
  if (kind === K.PTR) return { id: current, isArray, size: 8 * elements, elements };
  if ([K.INT, K.STRUCT, K.UNION, K.ENUM, K.ENUM64, K.FLOAT].some((each) => each === kind))
    return { id: current, isArray, size: btf.sizeOrType(current) * elements, elements };
  return undefined;
}

/** Bytes that a type takes (btf_resolve_size); undefined when it takes none. */
export const resolvedSize = (btf: BtfTypes, id: number): number | undefined => resolve(btf, id)?.size;

/** What stands at some bytes of a struct: a number, or a pointer to a struct. */
export type Member =
  | { readonly kind: 'scalar' }
  | { readonly kind: 'pointer'; readonly btfId: number; readonly flags: number; readonly field: string };

const SCALAR: Member = { kind: 'scalar' };

interface At {
  readonly id: number;
  readonly off: number;
}

interface MemberFields {
  readonly name: string;
  readonly type: number;
  readonly bit: number;
  /** Bits of a bit field; 0: none. */
  readonly bits: number;
}

function memberOf(btf: BtfTypes, id: number, index: number): MemberFields {
  const raw = btf.tail(id, index * 3 + 2);
  return {
    name: btf.string(btf.tail(id, index * 3)),
    type: btf.tail(id, index * 3 + 1),
    bit: btf.flag(id) ? raw & 0xff_ffff : raw,
    bits: btf.flag(id) ? raw >>> 24 : 0,
  };
}

class Walk {
  readonly env: Env;
  readonly btf: BtfTypes;
  readonly size: number;
  flags = 0;

  constructor(env: Env, btf: BtfTypes, size: number) {
    this.env = env;
    this.btf = btf;
    this.size = size;
  }

  /** Past the end of a struct there may be its last member, an array without a length. */
  flexibleArray(id: number, off: number): At | Member {
    const { btf, env, size } = this;
    const beyond = (): never => env.reject('EACCES', `access beyond struct ${btf.name(id)} at off ${off} size ${size}`);
    const count = btf.vlen(id);
    if (count === 0) return beyond();
    const last = memberOf(btf, id, count - 1);
    const array = stripBtf(btf, last.type);
    const start = Math.floor(last.bit / 8);
    if (btf.kind(array) !== K.ARRAY || btf.tail(array, 2) !== 0 || off < start) return beyond();
    const element = stripBtf(btf, btf.tail(array, 0));
    if (btf.kind(element) === K.INT) return SCALAR;
    if (!isRecord(btf, element) || btf.sizeOrType(element) === 0) return beyond();
    return { id: element, off: (off - start) % btf.sizeOrType(element) };
  }

  /** One struct: the member at `off`, or the struct in it that has it (btf_struct_walk, kernel/bpf/btf.c, 6.12). */
  step({ id, off }: At): At | Member {
    const { btf, env, size } = this;
    if (!isRecord(btf, id)) return env.reject('EINVAL', `Type '${btf.name(id)}' is not a struct`);
    // Which of a union's members was written last, nobody knows.
    if (btf.kind(id) === K.UNION && btf.vlen(id) !== 1) this.flags |= PTR_UNTRUSTED;
    if (off + size > btf.sizeOrType(id)) return this.flexibleArray(id, off);
    for (let index = 0; index < btf.vlen(id); index++) {
      const member = memberOf(btf, id, index);
      const start = Math.floor(member.bit / 8);
      if (off + size <= start) break;
      if (member.bits !== 0) {
        if (off <= start && Math.ceil((member.bit + member.bits) / 8) <= off + size) return SCALAR;
        continue;
      }
      if (off < start) break;
      const found = this.member(id, member, start, off);
      if (found !== undefined) return found;
    }
    return env.reject('EINVAL', `struct ${btf.name(id)} doesn't have field at offset ${off}`);
  }

  member(id: number, { name, type }: MemberFields, start: number, off: number): At | Member | undefined {
    const { btf, env, size } = this;
    const resolved = resolve(btf, type);
    if (resolved === undefined) return env.reject('EFAULT', `field ${name} doesn't have size`);
    const end = start + resolved.size;
    if (off >= end) return undefined;
    let at = start;
    let length = resolved.size;
    if (resolved.isArray) {
      if (start === end) return undefined;
      length = resolved.size / resolved.elements;
      at += Math.floor((off - start) / length) * length;
    }
    if (isRecord(btf, resolved.id)) return { id: resolved.id, off: off - at };
    if (btf.kind(resolved.id) === K.PTR) {
      const where = `${name} with moff ${at} in struct ${btf.name(id)} with off ${off} size ${size}`;
      if (length !== size || off !== at) env.reject('EACCES', `cannot access ptr member ${where}`);
      const pointee = btf.sizeOrType(resolved.id);
      const bare = stripBtf(btf, pointee);
      if (isRecord(btf, bare))
        return { kind: 'pointer', btfId: bare, flags: this.flags | tagFlags(btf, pointee), field: name };
    }
    if (off + size > end && (this.flags & PTR_UNTRUSTED) === 0) {
      const where = `member ${name} (mend:${end}) in struct ${btf.name(id)} with off ${off} size ${size}`;
      env.reject('EACCES', `access beyond the end of ${where}`);
    }
    return SCALAR;
  }
}

/** What a load of `size` bytes at `off` of a struct reads (btf_struct_access); rejects what is no member. */
export function walkStruct(env: Env, btf: BtfTypes, id: number, off: number, size: number): Member {
  const walk = new Walk(env, btf, size);
  let at: At = { id: stripBtf(btf, id), off };
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    const found = walk.step(at);
    if ('kind' in found) return found;
    at = found;
  }
  return env.reject('EINVAL', `struct ${btf.name(id)} doesn't have field at offset ${off}`);
}

/** Undefined where there is no member: the log says why, and who asks says what that means. */
function stepQuietly(walk: Walk, at: At): At | Member | undefined {
  try {
    return walk.step(at);
  } catch (error) {
    if (error instanceof Rejected) return undefined;
    throw error;
  }
}

/** Whether `off` bytes into a struct of one type there is one of another, or it is that itself (btf_struct_ids_match). */
export function hasStructAt(env: Env, btf: BtfTypes, id: number, off: number, wanted: number): boolean {
  let at: At = { id: stripBtf(btf, id), off };
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (at.off === 0 && btf.name(at.id) === btf.name(wanted) && btf.kind(at.id) === btf.kind(wanted)) return true;
    const found = stepQuietly(new Walk(env, btf, 1), at);
    if (found === undefined || 'kind' in found) return false;
    at = found;
  }
  return false;
}
