import { copyReg, knownScalar, type Reg, type RegDraft } from './reg.ts';
import { addBounds } from './scalar-alu.ts';
import { clearId } from './scalar-id.ts';
import { FP, isSpilled, type RegPlace, regAt, type State, setRegAt } from './state.ts';

/** LINKED_REGS_MAX (kernel/bpf/verifier.c, 6.12): more relatives than this are not followed. */
const LINKED_MAX = 6;

/** The scalars of a state that have an id, up to a constant (collect_linked_regs); what is too many loses its id. */
export function collectLinked(state: State, id: number, into: RegPlace[]): void {
  const consider = (reg: Reg, place: RegPlace): void => {
    if (reg.type !== 'scalar' || reg.id !== id) return;
    if (into.length < LINKED_MAX) {
      into.push(place);
      return;
    }
    const draft = copyReg(reg);
    clearId(draft);
    setRegAt(state, place, draft);
  };
  for (let frame = state.frames.length - 1; frame >= 0; frame--) {
    const found = state.frames[frame] as State['frames'][number];
    for (let index = 0; index < FP; index++) consider(found.reg(index), { frame, isSlot: false, index });
    for (const [index, slot] of found.stack.entries())
      if (isSpilled(slot)) consider(slot.reg, { frame, isSlot: true, index });
  }
}

/** What a relative of a scalar is, now that more is known of that. */
function related(reg: Reg, known: Reg): RegDraft {
  const draft = copyReg(known);
  if ((!reg.isAddConst && !known.isAddConst) || reg.off === known.off) {
    draft.precise = reg.precise || known.precise;
    return draft;
  }
  draft.off = reg.off;
  draft.id = reg.id;
  draft.isAddConst = reg.isAddConst;
  addBounds(draft, knownScalar(BigInt(reg.off - known.off)));
  return draft;
}

/** Tells the relatives of a register what a comparison found out about it (sync_linked_regs). */
export function syncLinked(state: State, known: Reg, places: readonly RegPlace[]): void {
  for (const place of places) {
    const reg = regAt(state, place);
    if (reg === undefined || reg.type !== 'scalar' || reg === known || reg.id !== known.id) continue;
    setRegAt(state, place, related(reg, known));
  }
}
