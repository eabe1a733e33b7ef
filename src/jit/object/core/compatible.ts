/** When two types count as the same: bpf_core_fields_are_compat, __bpf_core_types_are_compat (tools/lib/bpf/relo_core.c, 6.12). */
import { BTF_KIND, type BtfTypes, stripBtf } from '../../../image/index.ts';
import { isComposite, isEnum } from '../object-btf.ts';
import { type CoreBudget, fail } from './core-fault.ts';
import { essentialName } from './names.ts';

/** A type of the object and one of the kernel. */
export interface Pair {
  readonly local: BtfTypes;
  readonly localId: number;
  readonly target: BtfTypes;
  readonly targetId: number;
}

const DEPTH_MAX = 32;
export const LEVELS_MAX = 32;

/** Kinds that may stand for each other. */
export const kindsAgree = (a: number, b: number): boolean => a === b || (isEnum(a) && isEnum(b));

/** Old BTF made bit fields of integers that begin inside a byte; nothing is relocated against those. */
const beginsAtBit0 = (types: BtfTypes, id: number): boolean => ((types.tail(id, 0) >>> 16) & 0xff) === 0;

const stripped = ({ local, localId, target, targetId }: Pair): Pair => ({
  local,
  localId: stripBtf(local, localId),
  target,
  targetId: stripBtf(target, targetId),
});

/** Whether a field of one type may be read as the other says. */
export function fieldsAreCompatible(pair: Pair): boolean {
  let { local, localId, target, targetId } = pair;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    ({ localId, targetId } = stripped({ local, localId, target, targetId }));
    const kind = local.kind(localId);
    if (isComposite(kind) && isComposite(target.kind(targetId))) return true;
    if (!kindsAgree(kind, target.kind(targetId))) return false;
    switch (kind) {
      case BTF_KIND.PTR:
      case BTF_KIND.FLOAT:
        return true;
      case BTF_KIND.FWD:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64: {
        const names = [essentialName(local.name(localId)), essentialName(target.name(targetId))];
        return names[0] === '' || names[1] === '' || names[0] === names[1];
      }
      case BTF_KIND.INT:
        return beginsAtBit0(local, localId) && beginsAtBit0(target, targetId);
      case BTF_KIND.ARRAY:
        localId = local.tail(localId, 0);
        targetId = target.tail(targetId, 0);
        continue;
      default:
        return false;
    }
  }
  return false;
}

/** Whether a type of the kernel is the object's, so far as TYPE_EXISTS, TYPE_SIZE and TYPE_ID_TARGET ask; names have been compared. */
export function typesAreCompatible(pair: Pair, budget: CoreBudget, level = LEVELS_MAX): boolean {
  const { local, target } = pair;
  if (!kindsAgree(local.kind(pair.localId), target.kind(pair.targetId))) return false;
  let { localId, targetId } = pair;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    budget.spend();
    ({ localId, targetId } = stripped({ local, localId, target, targetId }));
    const kind = local.kind(localId);
    if (!kindsAgree(kind, target.kind(targetId))) return false;
    switch (kind) {
      case BTF_KIND.UNKN:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FWD:
        return true;
      case BTF_KIND.INT:
        return beginsAtBit0(local, localId) && beginsAtBit0(target, targetId);
      case BTF_KIND.PTR:
        localId = local.sizeOrType(localId);
        targetId = target.sizeOrType(targetId);
        continue;
      case BTF_KIND.ARRAY:
        localId = local.tail(localId, 0);
        targetId = target.tail(targetId, 0);
        continue;
      case BTF_KIND.FUNC_PROTO: {
        if (!parametersAreCompatible({ local, localId, target, targetId }, budget, level)) return false;
        localId = local.sizeOrType(localId);
        targetId = target.sizeOrType(targetId);
        continue;
      }
      default:
        return false;
    }
  }
  return fail(`types nest more than ${DEPTH_MAX} deep`);
}

function parametersAreCompatible(pair: Pair, budget: CoreBudget, level: number): boolean {
  const { local, localId, target, targetId } = pair;
  const count = local.vlen(localId);
  if (count !== target.vlen(targetId)) return false;
  for (let i = 0; i < count; i++) {
    if (level <= 0) fail(`functions nest more than ${LEVELS_MAX} deep`);
    const parameter = stripped({
      local,
      localId: local.tail(localId, i * 2 + 1),
      target,
      targetId: target.tail(targetId, i * 2 + 1),
    });
    if (!typesAreCompatible(parameter, budget, level - 1)) return false;
  }
  return true;
}
