import type { Env } from './env.ts';
import { liveRegisters } from './liveness.ts';
import { stateText } from './print-state.ts';
import { copyReg, type Reg } from './reg.ts';
import {
  FP,
  type Frame,
  type History,
  isSpilledScalar,
  MAX_FRAMES,
  READ,
  type RegPlace,
  SLOT_SIZE,
  type State,
} from './state.ts';

/** What the value in question was made from: registers and stack slots of each frame, one bit each. */
class Sources {
  readonly regs = new Array<number>(MAX_FRAMES).fill(0);
  readonly slots = new Array<bigint>(MAX_FRAMES).fill(0n);
  frame: number;

  constructor(frame: number) {
    this.frame = frame;
  }

  get isEmpty(): boolean {
    return this.regs.every((mask) => mask === 0) && this.slots.every((mask) => mask === 0n);
  }

  hasReg(index: number): boolean {
    return (this.mask & (1 << index)) !== 0;
  }

  get mask(): number {
    return this.regs[this.frame] as number;
  }

  setReg(index: number, frame = this.frame): void {
    this.regs[frame] = (this.regs[frame] as number) | (1 << index);
  }

  clearReg(index: number, frame = this.frame): void {
    this.regs[frame] = (this.regs[frame] as number) & ~(1 << index);
  }

  hasSlot(frame: number, index: number): boolean {
    return ((this.slots[frame] as bigint) & (1n << BigInt(index))) !== 0n;
  }

  setSlot(frame: number, index: number): void {
    this.slots[frame] = (this.slots[frame] as bigint) | (1n << BigInt(index));
  }

  clearSlot(frame: number, index: number): void {
    this.slots[frame] = (this.slots[frame] as bigint) & ~(1n << BigInt(index));
  }

  has({ frame, isSlot, index }: RegPlace): boolean {
    return isSlot ? this.hasSlot(frame, index) : ((this.regs[frame] as number) & (1 << index)) !== 0;
  }

  set({ frame, isSlot, index }: RegPlace): void {
    if (isSlot) this.setSlot(frame, index);
    else this.setReg(index, frame);
  }
}

/** What the instruction's own text does not explain: the caller then takes every scalar for decisive. */
const UNEXPLAINED = false;

/** Relatives stand for each other: a bound found for one holds for all (bt_sync_linked_regs). */
function spreadToLinked(sources: Sources, linked: readonly RegPlace[] | undefined): void {
  if (linked?.some((place) => sources.has(place)) === true) for (const place of linked) sources.set(place);
}

const regTexts = (mask: number): string =>
  Array.from({ length: 11 }, (_, index) => index)
    .filter((index) => (mask & (1 << index)) !== 0)
    .map((index) => `r${index}`)
    .join(',');
const slotTexts = (mask: bigint): string =>
  Array.from({ length: 64 }, (_, index) => index)
    .filter((index) => (mask & (1n << BigInt(index))) !== 0n)
    .map((index) => `-${(index + 1) * 8}`)
    .join(',');

function logStep(env: Env, sources: Sources, slot: number): void {
  if (env.log.level < 2) return;
  const { frame, mask } = sources;
  const stack = slotTexts(sources.slots[frame] as bigint);
  const text = env.request.describe?.(slot) ?? '';
  env.log.say(`mark_precise: frame${frame}: regs=${regTexts(mask)} stack=${stack} before ${slot}: ${text}\n`);
}

function logSegment(env: Env, sources: Sources, state: State, last: number, next: number): void {
  if (env.log.level < 2) return;
  const where = `last_idx ${last} first_idx ${state.firstInsn} subseq_idx ${next}`;
  env.log.say(`mark_precise: frame${sources.frame}: ${where} \n`);
}

function logCheckpoint(env: Env, sources: Sources, state: State): void {
  if (env.log.level < 2) return;
  for (let frame = Math.min(sources.frame, state.frames.length - 1); frame >= 0; frame--) {
    const marks = `regs=${regTexts(sources.regs[frame] as number)} stack=${slotTexts(sources.slots[frame] as bigint)}`;
    const text = stateText(env, state.frames[frame] as Frame, true);
    env.log.say(`mark_precise: frame${frame}: parent state ${marks}: ${text}`);
  }
}

/** One instruction backwards (backtrack_insn, kernel/bpf/verifier.c, 6.12). False: it cannot be followed. */
function stepBack(env: Env, entry: History, next: number, sources: Sources): boolean {
  if (sources.isEmpty) return true;
  logStep(env, sources, entry.insn);
  spreadToLinked(sources, entry.linked);
  const explained = explain(env, entry, next, sources);
  spreadToLinked(sources, entry.linked);
  return explained;
}

function explain(env: Env, entry: History, next: number, sources: Sources): boolean {
  const { code } = env;
  const { insn: slot, access } = entry;
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  const insn = env.insnAt(slot);
  const { meaning } = insn;
  switch (meaning.kind) {
    case 'mov':
    case 'movsx':
      if (!sources.hasReg(dst)) return true;
      sources.clearReg(dst);
      if ((meaning.kind === 'movsx' || meaning.from === 'reg') && src !== FP) sources.setReg(src);
      return true;
    case 'alu':
      if (sources.hasReg(dst) && meaning.from === 'reg' && src !== FP) sources.setReg(src);
      return true;
    case 'ld-imm64':
      sources.clearReg(dst);
      return true;
    case 'load':
      return explainLoad(sources, dst, access);
    case 'atomic': {
      if (meaning.isFetch && !sources.hasReg(dst))
        return explainLoad(sources, meaning.op === 'cmpxchg' ? 0 : src, access);
      if (meaning.isFetch) return UNEXPLAINED;
      return explainStore(sources, dst, src, access);
    }
    case 'store':
      return explainStore(sources, dst, meaning.from === 'reg' ? src : undefined, access);
    case 'jump':
      if (meaning.from === 'imm' || (!sources.hasReg(dst) && !sources.hasReg(src))) return true;
      if ((entry.pointers & 2) === 0) sources.setReg(src);
      if ((entry.pointers & 1) === 0) sources.setReg(dst);
      return true;
    case 'call':
      return explainCall(env, slot, next, sources);
    case 'exit':
      return explainExit(env, next, sources);
    default:
      return true;
  }
}

function explainLoad(sources: Sources, into: number, access: RegPlace | undefined): boolean {
  if (!sources.hasReg(into)) return true;
  sources.clearReg(into);
  // From elsewhere than the stack: it was never known, and nothing in front of it matters.
  if (access !== undefined) sources.set(access);
  return true;
}

function explainStore(
  sources: Sources,
  base: number,
  value: number | undefined,
  access: RegPlace | undefined,
): boolean {
  if (sources.hasReg(base)) return UNEXPLAINED;
  if (access === undefined || !sources.has(access)) return true;
  sources.clearSlot(access.frame, access.index);
  if (value !== undefined) sources.setReg(value);
  return true;
}

const ARGUMENTS = 0b11_1110;

function explainCall(env: Env, slot: number, next: number, sources: Sources): boolean {
  const meaning = env.insnAt(slot).meaning;
  const callee = meaning.kind === 'call' ? meaning.callee : undefined;
  const isCallbackEntry = env.callsCallback[slot] === 1 && slot !== next - 1;
  const isByTypes = callee === 'function' && env.callsGlobal(slot);
  if (!isByTypes && (callee === 'function' || isCallbackEntry)) {
    // Out of the callee, backwards, into the caller.
    if ((sources.mask & ~ARGUMENTS) !== 0 || sources.slots[sources.frame] !== 0n || sources.frame === 0)
      return UNEXPLAINED;
    for (let index = 1; index <= 5; index++) {
      if (callee === 'function' && sources.hasReg(index)) sources.setReg(index, sources.frame - 1);
      sources.clearReg(index);
    }
    sources.frame -= 1;
    return true;
  }
  sources.clearReg(0);
  return (sources.mask & ARGUMENTS) === 0;
}

/** Backwards from behind a call into the function that returned. */
function explainExit(env: Env, next: number, sources: Sources): boolean {
  const call = next > 0 ? env.insnAt(next - 1)?.meaning : undefined;
  const isCall = call?.kind === 'call' && call.callee === 'function';
  const wantsResult = isCall && sources.hasReg(0);
  if (isCall && (sources.mask & ARGUMENTS) !== 0) return UNEXPLAINED;
  sources.clearReg(0);
  if (sources.frame + 1 >= MAX_FRAMES) return UNEXPLAINED;
  sources.frame += 1;
  if (wantsResult) sources.setReg(0);
  return true;
}

const precise = (reg: Reg): Reg => {
  const draft = copyReg(reg);
  draft.precise = true;
  return draft;
};

function markSlotPrecise(frame: Frame, index: number): void {
  const slot = frame.slot(index);
  frame.stack[index] = { types: slot.types, reg: precise(slot.reg) };
}

/** Where nothing better is known, every scalar of every checkpoint on the way counts (mark_all_scalars_precise). */
function markEverything(env: Env): void {
  if (env.log.level === 2)
    env.log.say(`mark_precise: frame${env.state.frames.length - 1}: falling back to forcing all scalars precise\n`);
  for (let state = env.state.parent; state !== undefined; state = state.parent)
    state.replaceRegs((reg) => (reg.type === 'scalar' && !reg.precise ? precise(reg) : reg));
}

/** Marks what the checkpoint has of the sources; what was marked before is done with. */
function markCheckpoint(state: State, sources: Sources): void {
  for (const [frameno, frame] of state.frames.entries()) {
    const regs = sources.regs[frameno] as number;
    for (let index = 0; regs >> index !== 0; index++) {
      if ((regs & (1 << index)) === 0) continue;
      const reg = frame.reg(index);
      if (reg.type !== 'scalar' || reg.precise) sources.clearReg(index, frameno);
      else frame.regs[index] = precise(reg);
    }
    const slots = sources.slots[frameno] as bigint;
    for (let index = 0; slots >> BigInt(index) !== 0n; index++) {
      if (!sources.hasSlot(frameno, index)) continue;
      const slot = frame.slot(index);
      if (!isSpilledScalar(slot) || slot.reg.precise) sources.clearSlot(frameno, index);
      else markSlotPrecise(frame, index);
    }
  }
}

/** Walks back from the present instruction. `skipsFirst`: its own effect does not count, since its operand is what is asked for. */
function markSources(env: Env, sources: Sources, skipsFirst: boolean): void {
  if (sources.isEmpty) return;
  let next = skipsFirst ? -1 : env.insn;
  let skips = skipsFirst;
  let last = env.insn;
  for (let state: State | undefined = env.state; state !== undefined; state = state.parent) {
    logSegment(env, sources, state, last, state === env.state ? -1 : next);
    for (let entry = state.history; entry !== undefined; entry = entry.before) {
      const isExplained = skips || stepBack(env, entry, next, sources);
      skips = false;
      if (!isExplained) {
        markEverything(env);
        return;
      }
      if (sources.isEmpty) return;
      next = entry.insn;
    }
    if (state.parent === undefined) break;
    markCheckpoint(state.parent, sources);
    logCheckpoint(env, sources, state.parent);
    last = state.parent.lastInsn;
    if (sources.isEmpty) return;
  }
  markEverything(env);
}

/**
 * The value of a register of the present frame decided something: all that it was made from is marked, so that states which differ in it are not
 * taken for equal (mark_chain_precision, kernel/bpf/verifier.c, 6.12).
 */
export function markPrecise(env: Env, register: number): void {
  if (env.reg(register).type !== 'scalar') return;
  const sources = new Sources(env.state.frames.length - 1);
  sources.setReg(register);
  markSources(env, sources, true);
}

/** What decided something behind `old` decides it for the state that ends there (propagate_precision). */
export function propagatePrecision(env: Env, old: State): void {
  const sources = new Sources(old.frames.length - 1);
  for (let frameno = old.frames.length - 1; frameno >= 0; frameno--) {
    const frame = old.frames[frameno] as Frame;
    const live = liveRegisters(env, old, frameno);
    const names: string[] = [];
    for (const [index, reg] of frame.regs.entries()) {
      if (reg.type !== 'scalar' || !reg.precise || (live & (1 << index)) === 0) continue;
      sources.setReg(index, frameno);
      names.push(`r${index}`);
    }
    for (const [index, slot] of frame.stack.entries()) {
      if (!isSpilledScalar(slot) || !slot.reg.precise || ((frame.slotLive[index] ?? 0) & READ) === 0) continue;
      sources.setSlot(frameno, index);
      names.push(`fp${(-index - 1) * SLOT_SIZE}`);
    }
    if (env.log.level === 2 && names.length > 0) env.log.say(`frame ${frameno}: propagating ${names.join(',')}\n`);
  }
  markSources(env, sources, false);
}

/** A checkpoint begins with nothing decided (mark_all_scalars_imprecise). */
export function forgetPrecision(state: State): void {
  state.replaceRegs((reg) => {
    if (reg.type !== 'scalar' || !reg.precise) return reg;
    const draft = copyReg(reg);
    draft.precise = false;
    return draft;
  });
}
