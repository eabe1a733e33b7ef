import { lsmRange } from './ctx-access.ts';
import type { Env } from './env.ts';
import { markPrecise } from './precision.ts';
import { invalidScalarText } from './print-state.ts';
import { typeOf } from './reg.ts';
import type { Range } from './state.ts';

/** What a program of each type may leave in R0; undefined: anything. */
function rangeOf(env: Env): Range | undefined {
  switch (env.request.type) {
    case 'fentry':
    case 'fexit':
      return { min: 0, max: 0 };
    case 'lsm':
      return lsmRange(env);
    default:
      return undefined;
  }
}

const isVoidHook = (env: Env): boolean => {
  const { btf, target, type } = env.request;
  if (type !== 'lsm' || btf === undefined || target?.btfId === undefined) return false;
  return btf.sizeOrType(btf.sizeOrType(target.btfId)) === 0;
};

/** check_return_code: what is in R0 when the program ends. */
export function checkReturnCode(env: Env): void {
  if (env.frame.subprog !== 0) {
    const result = env.readReg(0);
    if (result.type !== 'scalar')
      env.reject('EINVAL', `At subprogram exit the register R0 is not a scalar value (${typeOf(result)})`);
    return;
  }
  if (isVoidHook(env)) return;
  const reg = env.readReg(0);
  const range = rangeOf(env);
  if (range === undefined) return;
  if (reg.type !== 'scalar')
    env.reject('EINVAL', `At program exit the register R0 is not a known value (${typeOf(reg)})`);
  markPrecise(env, 0);
  // An LSM hook answers an int.
  const [min, max] = env.request.type === 'lsm' ? [BigInt(reg.s32min), BigInt(reg.s32max)] : [reg.smin, reg.smax];
  if (BigInt(range.min) <= min && max <= BigInt(range.max)) return;
  env.reject('EINVAL', invalidScalarText(reg, range, 'At program exit', 'R0'));
}
