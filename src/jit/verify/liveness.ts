import { BPF_REG_FP, type BpfCode, type Insn, ISA, jumpTarget, SECOND_SLOT } from '../bpf/index.ts';
import type { Env } from './env.ts';
import { READ, type State, WRITTEN } from './state.ts';

const ARGUMENTS = 0b11_1110;
const CLOBBERED = 0b11_1111;

interface Effect {
  readonly reads: number;
  readonly writes: number;
}

/** Registers, one bit each, that an instruction reads and those it overwrites as a whole. */
function effectOf(env: Env, code: BpfCode, slot: number): Effect {
  const insn = ISA[code.insn[slot] as number] as Insn;
  const dst = 1 << (code.dst[slot] as number);
  const src = 1 << (code.src[slot] as number);
  const { meaning } = insn;
  if (meaning.kind === 'call') {
    const count = meaning.callee === 'helper' ? env.request.helper(code.imm[slot] as number)?.args.length : undefined;
    return { reads: count === undefined ? ARGUMENTS : ((1 << count) - 1) << 1, writes: CLOBBERED };
  }
  if (meaning.kind === 'exit') return { reads: 1, writes: 0 };
  let reads = 0;
  let writes = 0;
  if (insn.dst === 'read' || insn.dst === 'update') reads |= dst;
  if (insn.dst === 'write') writes |= dst;
  if (insn.src === 'read' || insn.src === 'update') reads |= src;
  if (meaning.kind === 'atomic' && meaning.op === 'cmpxchg') reads |= 1;
  return { reads, writes };
}

/**
 * For each slot, the registers (one bit each) whose values a path from it may read: what states that are compared have to agree on. The kernel
 * finds the same while it walks (mark_reg_read, 6.12) and path by path; here it is one pass over the program, which never says less.
 */
export function registersLive(env: Env): Uint16Array {
  const { code } = env;
  const live = new Uint16Array(code.length + 1);
  const effects = Array.from({ length: code.length }, (_, slot) =>
    code.insn[slot] === SECOND_SLOT ? { reads: 0, writes: 0 } : effectOf(env, code, slot),
  );
  for (let changed = true; changed; ) {
    changed = false;
    for (let slot = code.length - 1; slot >= 0; slot--) {
      const insn = ISA[code.insn[slot] as number];
      const { reads, writes } = effects[slot] as Effect;
      const isEnd = insn?.meaning.kind === 'exit' || insn?.meaning.kind === 'ja';
      const target = insn === undefined ? undefined : jumpTarget(code, slot);
      let after = isEnd ? 0 : (live[slot + 1] as number);
      if (target !== undefined) after |= live[target] as number;
      const before = reads | (after & ~writes) | (1 << BPF_REG_FP);
      if (before === live[slot]) continue;
      live[slot] = before;
      changed = true;
    }
  }
  return live;
}

/** Where each frame of a state goes on reading: the top one at its instruction, the others behind (callbacks: at) their calls. */
export function liveRegisters(env: Env, state: State, frameno: number): number {
  if (frameno === state.frames.length - 1) return env.liveBefore[state.insn] as number;
  const { callsite, callbackRange } = state.frames[frameno + 1] as State['frames'][number];
  // A callback comes back to the call itself, which reads its arguments again.
  if (callbackRange !== undefined) return env.liveBefore[callsite] as number;
  return (env.liveBefore[callsite + 1] as number) & ~CLOBBERED;
}

/** Tells the checkpoints on the way here that somebody reads the slot, up to the one behind which it was overwritten. */
export function markSlotRead(env: Env, state: State, frameno: number, index: number): void {
  const live = state.frames[frameno]?.slotLive;
  if (live === undefined || ((live[index] ?? 0) & WRITTEN) !== 0) return;
  markAncestors(env, state.parent, frameno, index);
}

function markAncestors(env: Env, first: State | undefined, frameno: number, index: number): void {
  let steps = 0;
  for (let state = first; state !== undefined; state = state.parent) {
    const live = state.frames[frameno]?.slotLive;
    const known = live?.[index];
    if (live === undefined || known === undefined || (known & READ) !== 0) break;
    live[index] = known | READ;
    steps += 1;
    if ((known & WRITTEN) !== 0) break;
  }
  env.longestReadWalk = Math.max(env.longestReadWalk, steps);
}

/** What was read behind a checkpoint is read by whoever ends at it (propagate_liveness). */
export function propagateReads(env: Env, old: State, state: State): void {
  for (const [frameno, frame] of old.frames.entries())
    for (const [index, live] of frame.slotLive.entries())
      if ((live & READ) !== 0) markSlotRead(env, state, frameno, index);
}
