/** What a relocation names, in the object's types and in the kernel's (bpf_core_parse_spec, bpf_core_spec_match, relo_core.c, 6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../../image/index.ts';
import type { CoreRelocation } from '../btf-ext.ts';
import { isComposite, isEnum, memberOf, resolveSize } from '../object-btf.ts';
import { fieldsAreCompatible, typesAreCompatible } from './compatible.ts';
import { type CoreBudget, fail } from './core-fault.ts';
import { typesMatch } from './matching.ts';
import { essentialName } from './names.ts';
import { type CoreKind, subjectOf } from './relocation-kind.ts';

/** BPF_CORE_SPEC_MAX_LEN. */
const PATH_MAX = 64;
const BITS = 8;

/** One step that means something: a member by its name, or an element of an array. */
export interface Accessor {
  /** The structure or enum that has it; of an array's element, the element's type. */
  readonly type: number;
  readonly index: number;
  /** Undefined for an element. */
  readonly name: string | undefined;
}

export interface CoreSpec {
  readonly types: BtfTypes;
  readonly root: number;
  readonly accessors: readonly Accessor[];
  readonly bitOffset: number;
}

function parsePath(access: string): readonly number[] {
  if (!/^\d{1,9}(?::\d{1,9})*$/.test(access)) fail(`its access string is ${JSON.stringify(access.slice(0, 100))}`);
  const path = access.split(':').map(Number);
  if (path.length > PATH_MAX) fail(`it goes over ${path.length} members, at most ${PATH_MAX}`, 'E2BIG');
  return path;
}

/** An array without a length is flexible when it is its structure's last member. */
function isFlexible(types: BtfTypes, last: Accessor | undefined, array: number): boolean {
  if (last?.name === undefined || types.tail(array, 2) > 0) return false;
  return last.index === types.vlen(last.type) - 1;
}

const bytesOf = (types: BtfTypes, id: number): number =>
  resolveSize(types, id) ?? fail(`type ${id}, ${types.name(id) || 'without a name'}, has no size`);

/** The names along the path: members of nameless members are members of what these are in. */
function walk(types: BtfTypes, root: number, path: readonly number[], budget: CoreBudget): CoreSpec {
  const [first = 0, ...rest] = path;
  let id = stripBtf(types, root);
  const accessors: Accessor[] = [{ type: id, index: first, name: undefined }];
  let bitOffset = first * bytesOf(types, id) * BITS;
  for (const index of rest) {
    budget.spend();
    id = stripBtf(types, id);
    if (isComposite(types.kind(id))) {
      if (index >= types.vlen(id)) fail(`type ${id} has no member ${index}`);
      const member = memberOf(types, id, index);
      bitOffset += member.bitOffset;
      if (member.name !== '') accessors.push({ type: id, index, name: member.name });
      id = member.type;
    } else if (types.kind(id) === BTF_KIND.ARRAY) {
      if (!isFlexible(types, accessors.at(-1), id) && index >= types.tail(id, 2))
        fail(`array type ${id} has no element ${index}`);
      id = stripBtf(types, types.tail(id, 0));
      accessors.push({ type: id, index, name: undefined });
      bitOffset += index * bytesOf(types, id) * BITS;
    } else fail(`type ${id} of the path is neither structure nor array`);
  }
  return { types, root, accessors, bitOffset };
}

/** Words of one enumerator: ENUM64 has its value in two. */
const enumStride = (types: BtfTypes, id: number): number => (types.kind(id) === BTF_KIND.ENUM64 ? 3 : 2);

export const enumeratorName = (types: BtfTypes, id: number, index: number): string =>
  types.string(types.tail(id, index * enumStride(types, id)));

/** 64 bits, a negative value of an ENUM sign-extended. */
export function enumeratorValue(types: BtfTypes, id: number, index: number): bigint {
  const at = index * enumStride(types, id);
  if (types.kind(id) === BTF_KIND.ENUM) return BigInt.asUintN(64, BigInt(types.tail(id, at + 1) | 0));
  return BigInt(types.tail(id, at + 1)) | (BigInt(types.tail(id, at + 2)) << 32n);
}

/** What the object itself means by a relocation. */
export function localSpec(types: BtfTypes, relocation: CoreRelocation, kind: CoreKind, budget: CoreBudget): CoreSpec {
  const { type: root, access } = relocation;
  const subject = subjectOf(kind);
  if (subject === 'type') {
    if (access !== '0') fail(`its access string is ${JSON.stringify(access.slice(0, 100))}, not "0"`);
    return { types, root, accessors: [], bitOffset: 0 };
  }
  const path = parsePath(access);
  if (subject === 'field') return walk(types, root, path, budget);
  const id = stripBtf(types, root);
  const [index = 0] = path;
  if (!isEnum(types.kind(id)) || path.length > 1 || index >= types.vlen(id))
    fail(`type ${root} has no enumerator ${access}`);
  return { types, root, accessors: [{ type: id, index, name: enumeratorName(types, id, index) }], bitOffset: 0 };
}

interface FoundMember {
  readonly accessor: Accessor;
  readonly memberType: number;
  readonly bitOffset: number;
  /** Members that were gone through, nameless ones included. */
  readonly steps: number;
}

interface Wanted {
  readonly local: BtfTypes;
  readonly name: string;
  /** Of the object's member. */
  readonly type: number;
  readonly budget: CoreBudget;
}

/** Looks for a member by its name, in nameless members, too; undefined when there is none, or one of another kind. */
function findMember(wanted: Wanted, types: BtfTypes, within: number, depth: number): FoundMember | undefined {
  const id = stripBtf(types, within);
  if (!isComposite(types.kind(id))) return undefined;
  if (depth >= PATH_MAX) fail(`members nest more than ${PATH_MAX} deep`, 'E2BIG');
  for (let index = 0; index < types.vlen(id); index++) {
    wanted.budget.spend();
    const { name, type, bitOffset } = memberOf(types, id, index);
    if (name === '') {
      const inner = findMember(wanted, types, type, depth + 1);
      if (inner !== undefined) return { ...inner, bitOffset: bitOffset + inner.bitOffset, steps: inner.steps + 1 };
    } else if (name === wanted.name) {
      const pair = { local: wanted.local, localId: wanted.type, target: types, targetId: type };
      if (!fieldsAreCompatible(pair)) return undefined;
      return { accessor: { type: id, index, name }, memberType: type, bitOffset, steps: 1 };
    }
  }
  return undefined;
}

function matchFields(local: CoreSpec, types: BtfTypes, root: number, budget: CoreBudget): CoreSpec | undefined {
  const accessors: Accessor[] = [];
  let bitOffset = 0;
  let steps = 0;
  let id = root;
  for (const [i, step] of local.accessors.entries()) {
    budget.spend();
    id = stripBtf(types, id);
    if (step.name !== undefined) {
      const member = memberOf(local.types, step.type, step.index);
      const wanted = { local: local.types, name: member.name, type: member.type, budget };
      const found = findMember(wanted, types, id, steps);
      if (found === undefined) return undefined;
      accessors.push(found.accessor);
      bitOffset += found.bitOffset;
      steps += found.steps;
      id = found.memberType;
      continue;
    }
    if (i > 0) {
      if (types.kind(id) !== BTF_KIND.ARRAY) return undefined;
      if (!isFlexible(types, accessors.at(-1), id) && step.index >= types.tail(id, 2)) return undefined;
      id = stripBtf(types, types.tail(id, 0));
    }
    accessors.push({ type: id, index: step.index, name: undefined });
    steps++;
    bitOffset += step.index * bytesOf(types, id) * BITS;
  }
  return { types, root, accessors, bitOffset };
}

function matchEnumerator(local: CoreSpec, types: BtfTypes, root: number, budget: CoreBudget): CoreSpec | undefined {
  const id = stripBtf(types, root);
  if (!isEnum(types.kind(id))) return undefined;
  const wanted = essentialName(local.accessors[0]?.name ?? '');
  for (let index = 0; index < types.vlen(id); index++) {
    budget.spend();
    const name = enumeratorName(types, id, index);
    if (essentialName(name) === wanted) return { types, root, accessors: [{ type: id, index, name }], bitOffset: 0 };
  }
  return undefined;
}

/** The same in a type of the kernel; undefined when that does not have it. */
export function matchSpec(
  local: CoreSpec,
  kind: CoreKind,
  types: BtfTypes,
  root: number,
  budget: CoreBudget,
): CoreSpec | undefined {
  const subject = subjectOf(kind);
  if (subject === 'field') return matchFields(local, types, root, budget);
  if (subject === 'enum-value') return matchEnumerator(local, types, root, budget);
  const pair = { local: local.types, localId: local.root, target: types, targetId: root };
  const isSame = kind === 'type_matches' ? typesMatch(pair, budget) : typesAreCompatible(pair, budget);
  return isSame ? { types, root, accessors: [], bitOffset: 0 } : undefined;
}
