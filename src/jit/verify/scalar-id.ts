import type { Env } from './env.ts';
import { copyReg, type RegDraft } from './reg.ts';
import { isConst } from './tnum.ts';

/** It is no longer known to be related to others (clear_scalar_id). */
export function clearId(reg: RegDraft): void {
  reg.id = 0;
  reg.isAddConst = false;
  reg.off = 0;
}

/** Gives a scalar that is about to be copied an id, by which the copies know each other (assign_scalar_id_before_mov). */
export function assignId(env: Env, regno: number): void {
  const reg = env.reg(regno);
  if (reg.type !== 'scalar') return;
  if (!reg.isAddConst && (reg.id !== 0 || isConst(reg.tnum))) return;
  const draft = copyReg(reg);
  if (draft.isAddConst) clearId(draft);
  if (draft.id === 0 && !isConst(draft.tnum)) draft.id = env.newId();
  env.setReg(regno, draft);
}
