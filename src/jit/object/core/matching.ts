/** BPF_CORE_TYPE_MATCHES: the kernel's type has all that the object's has (__bpf_core_types_match, tools/lib/bpf/relo_core.c, 6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../../image/index.ts';
import { isEnum, memberOf } from '../object-btf.ts';
import { LEVELS_MAX, type Pair } from './compatible.ts';
import { type CoreBudget, fail } from './core-fault.ts';
import { essentialName } from './names.ts';

const DEPTH_MAX = 32;
const SIGNED = 1;

/** A nameless type matches nameless ones only. */
const namesMatch = (local: string, target: string): boolean =>
  target === '' ? local === '' : essentialName(local) === essentialName(target);

const isSigned = (types: BtfTypes, id: number): boolean => ((types.tail(id, 0) >>> 24) & SIGNED) !== 0;
/** Of a forward declaration: of a union, not of a structure. */
const isUnion = (types: BtfTypes, id: number): boolean => types.flag(id);

/** Words of one enumerator: ENUM64 has its value in two. */
const stride = (types: BtfTypes, id: number): number => (types.kind(id) === BTF_KIND.ENUM64 ? 3 : 2);

function enumsMatch({ local, localId, target, targetId }: Pair, budget: CoreBudget): boolean {
  if (local.sizeOrType(localId) !== target.sizeOrType(targetId)) return false;
  if (local.vlen(localId) > target.vlen(targetId)) return false;
  const names = (types: BtfTypes, id: number): readonly string[] =>
    Array.from({ length: types.vlen(id) }, (_, i) => {
      budget.spend();
      return essentialName(types.string(types.tail(id, i * stride(types, id))));
    });
  const known = new Set(names(target, targetId));
  return names(local, localId).every((name) => known.has(name));
}

function compositesMatch(pair: Pair, isBehindPointer: boolean, budget: CoreBudget, level: number): boolean {
  const { local, localId, target, targetId } = pair;
  if (local.vlen(localId) > target.vlen(targetId)) return false;
  for (let i = 0; i < local.vlen(localId); i++) {
    const member = memberOf(local, localId, i);
    let isMatched = false;
    for (let k = 0; k < target.vlen(targetId) && !isMatched; k++) {
      budget.spend();
      const candidate = memberOf(target, targetId, k);
      if (!namesMatch(member.name, candidate.name)) continue;
      const inner = { local, localId: member.type, target, targetId: candidate.type };
      isMatched = typesMatch(inner, budget, isBehindPointer, level - 1);
    }
    if (!isMatched) return false;
  }
  return true;
}

function forwardsMatch({ local, localId, target, targetId }: Pair, isBehindPointer: boolean): boolean {
  const kind = target.kind(targetId);
  if (kind === BTF_KIND.FWD) return isUnion(local, localId) === isUnion(target, targetId);
  return isBehindPointer && kind === (isUnion(local, localId) ? BTF_KIND.UNION : BTF_KIND.STRUCT);
}

/** Behind a pointer a declaration will do for a structure. */
function pointeesMatch({ local, localId, target, targetId }: Pair): boolean {
  const kind = local.kind(localId);
  if (kind === target.kind(targetId)) return true;
  return target.kind(targetId) === BTF_KIND.FWD && (kind === BTF_KIND.UNION) === isUnion(target, targetId);
}

/** Whether types match whose outermost names have been compared. */
export function typesMatch(pair: Pair, budget: CoreBudget, behindPointer = false, level = LEVELS_MAX): boolean {
  const { local, target } = pair;
  if (level <= 0) fail(`types nest more than ${LEVELS_MAX} deep`);
  let { localId, targetId } = pair;
  let isBehindPointer = behindPointer;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    budget.spend();
    localId = stripBtf(local, localId);
    targetId = stripBtf(target, targetId);
    const inner = { local, localId, target, targetId };
    if (!namesMatch(local.name(localId), target.name(targetId))) return false;
    const kind = local.kind(localId);
    if (kind === BTF_KIND.FWD) return forwardsMatch(inner, isBehindPointer);
    if (isEnum(kind)) return isEnum(target.kind(targetId)) && enumsMatch(inner, budget);
    const isRecord = kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION;
    if (isRecord && isBehindPointer) return pointeesMatch(inner);
    if (kind !== target.kind(targetId)) return false;
    if (kind === BTF_KIND.UNKN) return true;
    if (isRecord) return compositesMatch(inner, isBehindPointer, budget, level);
    if (kind === BTF_KIND.INT)
      return (
        local.sizeOrType(localId) === target.sizeOrType(targetId) &&
        isSigned(local, localId) === isSigned(target, targetId)
      );
    if (kind === BTF_KIND.PTR) isBehindPointer = true;
    else if (kind === BTF_KIND.ARRAY) {
      if (local.tail(localId, 2) !== target.tail(targetId, 2)) return false;
    } else if (kind !== BTF_KIND.FUNC_PROTO || !parametersMatch(inner, isBehindPointer, budget, level)) return false;
    const isArray = kind === BTF_KIND.ARRAY;
    localId = isArray ? local.tail(localId, 0) : local.sizeOrType(localId);
    targetId = isArray ? target.tail(targetId, 0) : target.sizeOrType(targetId);
  }
  return fail(`types nest more than ${DEPTH_MAX} deep`);
}

function parametersMatch(pair: Pair, isBehindPointer: boolean, budget: CoreBudget, level: number): boolean {
  const { local, localId, target, targetId } = pair;
  const count = local.vlen(localId);
  if (count !== target.vlen(targetId)) return false;
  for (let i = 0; i < count; i++) {
    const parameter = {
      local,
      localId: local.tail(localId, i * 2 + 1),
      target,
      targetId: target.tail(targetId, i * 2 + 1),
    };
    if (!typesMatch(parameter, budget, isBehindPointer, level - 1)) return false;
  }
  return true;
}
