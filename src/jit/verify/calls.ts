import type { Env } from './env.ts';
import { callGlobal } from './global-functions.ts';
import { markPrecise } from './precision.ts';
import { invalidScalarText, stateText } from './print-state.ts';
import { newReg, type Reg, type RegDraft, UNKNOWN } from './reg.ts';
import type { VerifierMap } from './request.ts';
import { IdMap, regsExact, sameCallsites } from './same-regs.ts';
import { Frame, isSpilled, MAX_FRAMES, type Range, type State } from './state.ts';

/** The function that begins at a slot. */
export function subprogAt(env: Env, slot: number): number {
  return env.request.functions.findIndex(({ start }) => start === slot);
}

/** setup_func_entry: a new frame on top, with what `fill` puts into its registers. */
function enter(
  env: Env,
  state: State,
  subprog: number,
  callsite: number,
  fill: (caller: Frame, callee: Frame) => void,
): void {
  const { frames } = state;
  if (frames.length >= MAX_FRAMES) env.reject('E2BIG', `the call stack of ${frames.length + 1} frames is too deep`);
  const caller = state.current;
  const callee = new Frame(frames.length, subprog, callsite);
  callee.refs = caller.refs;
  fill(caller, callee);
  frames.push(callee);
}

/** A call of a function of the program (check_func_call). Answers where to go on. */
export function callFunction(env: Env, slot: number): number {
  const target = slot + 1 + (env.code.imm[slot] as number);
  const caller = env.frame;
  const subprog = subprogAt(env, target);
  if (env.isGlobal(subprog)) {
    callGlobal(env, subprog);
    return slot + 1;
  }
  enter(env, env.state, subprog, slot, (from, callee) => {
    for (let index = 1; index <= 5; index++) callee.regs[index] = from.reg(index);
    callee.written = from.written & 0b11_1110;
  });
  env.clearCallerSaved(caller);
  if (env.log.level > 0) {
    env.log.say(`caller:\n${stateText(env, caller, true)}`);
    env.log.say(`callee:\n${stateText(env, env.frame, true)}`);
  }
  return target;
}

export type FillCallback = (caller: Frame, callee: Frame) => void;

/** What a callback of bpf_loop is called with: how often it has been, and what it was given. */
export const fillLoopCallback: FillCallback = (caller, callee) => {
  callee.regs[1] = UNKNOWN;
  callee.regs[2] = caller.reg(3);
};

const pointerInto = (type: 'map_key' | 'map_value', map: VerifierMap): Reg => {
  const reg: RegDraft = newReg(type);
  reg.map = map;
  return reg;
};

/** What a callback of bpf_for_each_map_elem is called with. */
export const fillMapCallback =
  (map: VerifierMap): FillCallback =>
  (caller, callee) => {
    callee.regs[1] = caller.reg(1);
    callee.regs[2] = pointerInto('map_key', map);
    callee.regs[3] = pointerInto('map_value', map);
    callee.regs[4] = caller.reg(3);
  };

/** What the callback of bpf_find_vma is called with: the task, the mapping, and what it was given. */
export const fillVmaCallback =
  (vmAreaStruct: number): FillCallback =>
  (caller, callee) => {
    const mapping = newReg('ptr_');
    mapping.btfId = vmAreaStruct;
    callee.regs[1] = caller.reg(1);
    callee.regs[2] = mapping;
    callee.regs[3] = caller.reg(4);
  };

/** What a callback that is called while its caller waits may answer. */
const CALLBACK_RANGE: Range = { min: 0, max: 1 };

/** push_callback_call: one more call of the callback is a path of its own, which comes back to the helper's call. */
export function pushCallback(env: Env, slot: number, subprog: number, fill: FillCallback): void {
  const info = env.subprogs[subprog];
  if (info !== undefined) info.isCallback = true;
  const start = env.request.functions[subprog]?.start ?? 0;
  const state = env.push(start, slot);
  enter(env, state, subprog, slot, (caller, callee) => {
    fill(caller, callee);
    callee.callbackRange = CALLBACK_RANGE;
  });
  state.callbackUnrollDepth += 1;
  const caller = state.frames.at(-2) as Frame;
  caller.callbackDepth += 1;
  env.frame.callbackDepth = 0;
}

/** The state of an earlier round that is still being followed (find_prev_entry). */
function previousEntry(env: Env, slot: number): State | undefined {
  const { state } = env;
  return env
    .exploredAt(slot)
    .find((each) => each.branches > 0 && sameCallsites(each, state) && each.depth < state.depth);
}

/** Scalars that changed since the earlier round, and decide nothing so far, are any number from now on (widen_imprecise_scalars). */
function widen(old: State, state: State): void {
  const ids = new IdMap();
  const widened = (before: Reg, now: Reg): Reg => {
    if (before.type !== 'scalar' || now.type !== 'scalar' || before.precise || now.precise) return now;
    return regsExact(before, now, ids) ? now : UNKNOWN;
  };
  for (let frameno = old.frames.length - 1; frameno >= 0; frameno--) {
    const [before, now] = [old.frames[frameno] as Frame, state.frames[frameno] as Frame];
    for (const [index, reg] of now.regs.entries()) now.regs[index] = widened(before.reg(index), reg);
    for (const [index, slot] of now.stack.entries()) {
      const earlier = before.stack[index];
      if (earlier === undefined || !isSpilled(earlier) || !isSpilled(slot)) continue;
      const reg = widened(earlier.reg, slot.reg);
      if (reg !== slot.reg) now.stack[index] = { types: slot.types, reg };
    }
  }
}

/** The end of a function that was called (prepare_func_exit). Answers where to go on. */
export function returnToCaller(env: Env): number {
  const { state } = env;
  const callee = env.frame;
  const result = callee.reg(0);
  if (result.type === 'fp') env.reject('EINVAL', 'cannot return stack pointer to the caller');
  const caller = state.frames.at(-2) as Frame;
  const range = callee.callbackRange;
  if (range === undefined) {
    caller.regs[0] = result;
    caller.written = (caller.written & ~1) | (callee.written & 1);
    caller.refs = callee.refs;
  } else {
    if (result.type !== 'scalar') env.reject('EACCES', 'R0 not a scalar value');
    markPrecise(env, 0);
    if (BigInt(range.min) > result.smin || result.smax > BigInt(range.max))
      env.reject('EINVAL', invalidScalarText(result, range, 'At callback return', 'R0'));
  }
  const next = range === undefined ? callee.callsite + 1 : callee.callsite;
  if (env.log.level > 0) {
    env.log.say(`returning from callee:\n${stateText(env, callee, true)}`);
    env.log.say(`to caller at ${next}:\n${stateText(env, caller, true)}`);
  }
  state.frames.pop();
  const earlier = range === undefined ? undefined : previousEntry(env, next);
  if (earlier !== undefined) widen(earlier, state);
  return next;
}
