import { type Bounds, rangeWithin } from './bounds.ts';
import type { Reg } from './reg.ts';
import type { State } from './state.ts';
import { tnumIn } from './tnum.ts';

/** Which ids of one state stand for which of another (struct bpf_idmap). Ids that a comparison makes up are negative. */
export class IdMap {
  readonly #byOld = new Map<string, string>();
  readonly #byNew = new Map<string, string>();
  #made = 0;

  /** check_ids: the same old id is the same new one, and the other way round. */
  matches(old: number, now: number): boolean {
    if ((old === 0) !== (now === 0)) return false;
    return old === 0 || this.#pair(`${old}`, `${now}`);
  }

  #pair(old: string, now: string): boolean {
    const known = this.#byOld.get(old);
    if (known !== undefined) return known === now;
    if (this.#byNew.has(now)) return false;
    this.#byOld.set(old, now);
    this.#byNew.set(now, old);
    return true;
  }

  /** check_scalar_ids: a scalar that was not known to be related may be so now, not the other way round. */
  matchesScalar(old: Reg, now: Reg): boolean {
    if (old.id === 0) return true;
    this.#made -= 1;
    const id = now.id === 0 ? this.#made : now.id;
    const mark = (isAddConst: boolean): string => (isAddConst ? '+' : '');
    if (!this.#pair(`${old.id}${mark(old.isAddConst)}`, `${id}${mark(now.isAddConst)}`)) return false;
    return !old.isAddConst || this.#pair(`${old.id}`, `${id}`);
  }
}

const sameBounds = (a: Readonly<Bounds>, b: Readonly<Bounds>): boolean =>
  a.smin === b.smin &&
  a.smax === b.smax &&
  a.umin === b.umin &&
  a.umax === b.umax &&
  a.s32min === b.s32min &&
  a.s32max === b.s32max &&
  a.u32min === b.u32min &&
  a.u32max === b.u32max &&
  a.tnum.value === b.tnum.value &&
  a.tnum.mask === b.tnum.mask;

/** What stands in front of `var_off` in struct bpf_reg_state: what kind of value it is. */
const sameKind = (a: Reg, b: Reg): boolean =>
  a.type === b.type &&
  a.flags === b.flags &&
  a.off === b.off &&
  a.map === b.map &&
  a.memSize === b.memSize &&
  a.btfId === b.btfId &&
  a.subprog === b.subprog;

/** regs_exact. */
export const regsExact = (old: Reg, now: Reg, ids: IdMap): boolean =>
  old === now
    ? ids.matches(old.id, now.id) && ids.matches(old.refObjId, now.refObjId)
    : sameKind(old, now) &&
      sameBounds(old, now) &&
      old.isAddConst === now.isAddConst &&
      ids.matches(old.id, now.id) &&
      ids.matches(old.refObjId, now.refObjId);

/** states_maybe_looping: nothing at all differs. */
export const regsIdentical = (old: Reg, now: Reg): boolean =>
  old === now ||
  (sameKind(old, now) &&
    sameBounds(old, now) &&
    old.id === now.id &&
    old.isAddConst === now.isAddConst &&
    old.refObjId === now.refObjId &&
    old.frameno === now.frameno);

/**
 * How states are compared. `safe`: what was fine for the old one is fine for the new, where it matters. `exact`: they are the same. `within`:
 * whatever matters, values of the new one are among those of the old.
 */
export type Exactness = 'safe' | 'exact' | 'within';

function scalarSafe(old: Reg, now: Reg, ids: IdMap, exactness: Exactness): boolean {
  if (!old.precise && exactness === 'safe') return true;
  if (old.isAddConst ? !now.isAddConst || old.off !== now.off : old.id !== 0 && now.isAddConst) return false;
  return ids.matchesScalar(old, now) && rangeWithin(old, now) && tnumIn(old.tnum, now.tnum);
}

/** regsafe: whether what was found out behind the old state holds for the new one. */
export function regSafe(old: Reg, now: Reg, ids: IdMap, exactness: Exactness, isLive: boolean): boolean {
  if (exactness === 'exact') return regsExact(old, now, ids);
  if (!isLive && exactness === 'safe') return true;
  if (old.type === '?' && (exactness === 'safe' || now.type === '?')) return true;
  if (old.type !== now.type || old.flags !== now.flags) return false;
  switch (old.type) {
    case 'scalar':
      return scalarSafe(old, now, ids, exactness);
    case 'map_key':
    case 'map_value':
    case 'mem':
      return (
        sameKind(old, now) &&
        rangeWithin(old, now) &&
        tnumIn(old.tnum, now.tnum) &&
        ids.matches(old.id, now.id) &&
        ids.matches(old.refObjId, now.refObjId)
      );
    case 'fp':
      return regsExact(old, now, ids) && old.frameno === now.frameno;
    default:
      return regsExact(old, now, ids);
  }
}

export const sameCallsites = (a: State, b: State): boolean =>
  a.frames.length === b.frames.length && a.frames.every((frame, index) => frame.callsite === b.frames[index]?.callsite);
