import type { Env } from './env.ts';
import { liveRegisters, propagateReads } from './liveness.ts';
import { forgetPrecision, propagatePrecision } from './precision.ts';
import { stateText } from './print-state.ts';
import { type Reg, UNKNOWN } from './reg.ts';
import { type Exactness, IdMap, regSafe, regsIdentical } from './same-regs.ts';
import { locksEqual } from './spin-lock.ts';
import {
  type Frame,
  INVALID,
  isSpilledScalar64,
  MISC,
  READ,
  SLOT_SIZE,
  SPILL,
  type StackSlot,
  type State,
} from './state.ts';

/** Eight bytes that are one scalar, or nothing that is known (scalar_reg_for_stack). */
function asScalar(slot: StackSlot): Reg | undefined {
  if (isSpilledScalar64(slot)) return slot.reg;
  return slot.types.every((type) => type === MISC || type === INVALID) ? UNKNOWN : undefined;
}

function bytesSafe(old: StackSlot, now: StackSlot | undefined): boolean {
  return old.types.every((type, index) => {
    if (type === INVALID || type === MISC) return true;
    return now !== undefined && now.types[index] === type;
  });
}

function slotSafe(old: StackSlot, now: StackSlot | undefined, ids: IdMap, exactness: Exactness): boolean {
  // What was never written, or may be anything, restricts nothing.
  if (old.types.every((type) => type === INVALID || type === MISC)) return true;
  if (now === undefined) return false;
  const [oldScalar, nowScalar] = [asScalar(old), asScalar(now)];
  if (oldScalar !== undefined && nowScalar !== undefined) return regSafe(oldScalar, nowScalar, ids, exactness, true);
  if (!bytesSafe(old, now)) return false;
  return old.types[SLOT_SIZE - 1] === SPILL ? regSafe(old.reg, now.reg, ids, exactness, true) : true;
}

/** stacksafe. */
function stackSafe(old: Frame, now: Frame, ids: IdMap, exactness: Exactness): boolean {
  return old.stack.every((slot, index) => {
    const other = now.stack[index];
    if (exactness !== 'safe') {
      const isSame = slot.types.every((type, byte) => other !== undefined && other.types[byte] === type);
      if (!isSame) return false;
    } else if (((old.slotLive[index] ?? 0) & READ) === 0) return true;
    return slotSafe(slot, other, ids, exactness);
  });
}

function framesEqual(env: Env, old: State, now: State, index: number, ids: IdMap, exactness: Exactness): boolean {
  const [before, after] = [old.frames[index] as Frame, now.frames[index] as Frame];
  if (before.callsite !== after.callsite || before.callbackDepth > after.callbackDepth) return false;
  const live = liveRegisters(env, old, index);
  const areSafe = before.regs.every((reg, regno) =>
    regSafe(reg, after.reg(regno), ids, exactness, (live & (1 << regno)) !== 0),
  );
  return (
    areSafe &&
    stackSafe(before, after, ids, exactness) &&
    before.refs.length === after.refs.length &&
    before.refs.every(({ id }, place) => ids.matches(id, after.refs[place]?.id ?? 0))
  );
}

/** states_equal: nothing that was found out behind the old state would be different behind the new one. */
export function statesEqual(env: Env, old: State, now: State, exactness: Exactness): boolean {
  if (old.frames.length !== now.frames.length) return false;
  const ids = new IdMap();
  if (!locksEqual(old.lock, now.lock, ids)) return false;
  return old.frames.every((_, index) => framesEqual(env, old, now, index, ids, exactness));
}

function rejectLoop(env: Env, old: State): never {
  const { state, insn } = env;
  env.log.say(`infinite loop detected at insn ${insn}\n`);
  env.log.say(`cur state:${stateText(env, state.current, true)}`);
  env.log.say(`old state:${stateText(env, old.current, true)}`);
  return env.rejectQuietly('EINVAL', `infinite loop detected at insn ${insn}`);
}

function isLoop(env: Env, old: State): boolean {
  const { state } = env;
  return (
    old.frames.length === state.frames.length &&
    old.current.regs.every((reg, index) => regsIdentical(reg, state.current.reg(index))) &&
    statesEqual(env, old, state, 'exact') &&
    old.callbackUnrollDepth === state.callbackUnrollDepth
  );
}

/** Whether the old state, from which there are paths that have not ended, ends the present one; a state that comes back as it was never ends. */
function meetsUnfinished(env: Env, old: State): boolean {
  if (env.callsCallback[env.insn] === 1) return statesEqual(env, old, env.state, 'within');
  if (isLoop(env, old)) rejectLoop(env, old);
  return false;
}

const HISTORY_MAX = 40;
const MISSES_PER_HIT = 3;
const MISSES_PER_HIT_FORCED = 64;

/** Keeps the present state to compare others with. */
function addCheckpoint(env: Env, known: State[]): void {
  const { state, insn } = env;
  env.totalStates += 1;
  env.peakStates += 1;
  env.jumpsAtCheckpoint = env.jumps;
  env.processedAtCheckpoint = env.processed;
  forgetPrecision(state);
  const kept = state.copy();
  kept.insn = insn;
  known.unshift(kept);
  state.parent = kept;
  state.firstInsn = insn;
  state.history = undefined;
  state.historyWeight = 0;
  state.depth = kept.depth + 1;
  for (const frame of state.frames) {
    frame.written = 0;
    frame.slotLive.fill(0);
  }
}

/**
 * is_state_visited (kernel/bpf/verifier.c, 6.12): whether the present state needs no more following, because one that allows as much was
 * followed from here. Otherwise it may be kept, to be compared with. Rejects a loop that changes nothing.
 */
export function isVisited(env: Env): boolean {
  const { state, insn } = env;
  const isForced = env.callsCallback[insn] === 1;
  const mustAdd = env.request.checkpointsEverywhere === true || isForced || state.historyWeight > HISTORY_MAX;
  let adds = mustAdd || (env.jumps - env.jumpsAtCheckpoint >= 2 && env.processed - env.processedAtCheckpoint >= 8);
  const known = env.exploredAt(insn);
  const kept: State[] = [];
  let isHit = false;
  for (const old of known) {
    if (isHit) {
      kept.push(old);
      continue;
    }
    const isUnfinished = old.branches > 0;
    if (isUnfinished ? meetsUnfinished(env, old) : statesEqual(env, old, state, 'safe')) {
      old.hits += 1;
      propagateReads(env, old, state);
      propagatePrecision(env, old);
      isHit = true;
      kept.push(old);
      continue;
    }
    const isRecent = env.jumps - env.jumpsAtCheckpoint < 20 && env.processed - env.processedAtCheckpoint < 100;
    if (isUnfinished && !mustAdd && isRecent) adds = false;
    if (adds) old.misses += 1;
    const perHit = isForced && isUnfinished ? MISSES_PER_HIT_FORCED : MISSES_PER_HIT;
    if (old.misses <= old.hits * perHit + perHit) kept.push(old);
  }
  if (kept.length < known.length) known.splice(0, known.length, ...kept);
  env.maxStatesPerInsn = Math.max(env.maxStatesPerInsn, known.length);
  if (isHit) return true;
  if (adds) addCheckpoint(env, known);
  return false;
}
