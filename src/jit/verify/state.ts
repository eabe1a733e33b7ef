import { NOT_INIT, newReg, type Reg } from './reg.ts';
import type { HeldLock } from './spin-lock.ts';

/** Bytes of one stack slot. */
export const SLOT_SIZE = 8;
export const MAX_STACK = 512;
export const REGISTERS = 11;
export const FP = 10;
/** MAX_CALL_FRAMES (include/linux/bpf_verifier.h, 6.12). */
export const MAX_FRAMES = 8;

/** What one byte of stack holds (enum bpf_stack_slot_type): nothing yet, part of a register, anything, zero. */
export const INVALID = 0;
export const SPILL = 1;
export const MISC = 2;
export const ZERO_BYTE = 3;
export type ByteType = typeof INVALID | typeof SPILL | typeof MISC | typeof ZERO_BYTE;

/** Eight bytes of stack. `types[0]` is the byte at the highest address; a spilled register ends in `types[7]`. */
export interface StackSlot {
  readonly types: readonly ByteType[];
  readonly reg: Reg;
}

export const EMPTY_SLOT: StackSlot = { types: new Array<ByteType>(SLOT_SIZE).fill(INVALID), reg: NOT_INIT };

export const isSpilled = ({ types }: StackSlot): boolean => types[SLOT_SIZE - 1] === SPILL;
export const isSpilledScalar = (slot: StackSlot): boolean => isSpilled(slot) && slot.reg.type === 'scalar';
/** All eight bytes are one scalar. */
export const isSpilledScalar64 = (slot: StackSlot): boolean => slot.types[0] === SPILL && slot.reg.type === 'scalar';

/** Liveness of a slot, between two checkpoints: read by somebody later; overwritten as a whole. */
export const READ = 1;
export const WRITTEN = 2;

/** A reference that has to be released. */
export interface Reference {
  readonly id: number;
  readonly insn: number;
  /** The frame of the callback that acquired it; 0: none. */
  readonly callbackFrame: number;
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** One function that is being executed (struct bpf_func_state). */
export class Frame {
  readonly frameno: number;
  readonly subprog: number;
  /** The call; -1 for the program itself. */
  readonly callsite: number;
  regs: Reg[];
  stack: StackSlot[] = [];
  slotLive: number[] = [];
  /** Registers written since the last checkpoint, one bit each. */
  written = 0;
  refs: readonly Reference[] = [];
  /** What a callback may return; undefined when this is none. */
  callbackRange: Range | undefined;
  callbackDepth = 0;

  constructor(frameno: number, subprog: number, callsite: number) {
    this.frameno = frameno;
    this.subprog = subprog;
    this.callsite = callsite;
    this.regs = new Array<Reg>(REGISTERS).fill(NOT_INIT);
    const fp = newReg('fp');
    fp.frameno = frameno;
    this.regs[FP] = fp;
  }

  reg(index: number): Reg {
    return this.regs[index] as Reg;
  }

  slot(index: number): StackSlot {
    return this.stack[index] ?? EMPTY_SLOT;
  }

  /** Makes room down to `-bytes` (grow_stack_state). */
  grow(bytes: number): void {
    for (let slots = Math.ceil(bytes / SLOT_SIZE); this.stack.length < slots; ) {
      this.stack.push(EMPTY_SLOT);
      this.slotLive.push(0);
    }
  }

  copy(): Frame {
    const copy = new Frame(this.frameno, this.subprog, this.callsite);
    copy.regs = this.regs.slice();
    copy.stack = this.stack.slice();
    copy.slotLive = this.slotLive.slice();
    copy.written = this.written;
    copy.refs = this.refs;
    copy.callbackRange = this.callbackRange;
    copy.callbackDepth = this.callbackDepth;
    return copy;
  }
}

/** A register or a stack slot of a frame. */
export interface RegPlace {
  readonly frame: number;
  readonly isSlot: boolean;
  readonly index: number;
}

/** An executed instruction and the one before it; what of its effect its text does not tell. */
export interface History {
  readonly insn: number;
  readonly before: History | undefined;
  /** The slot that it loads from or stores to. */
  readonly access: RegPlace | undefined;
  /** Scalars that were known to be related when it compared one of them. */
  readonly linked: readonly RegPlace[] | undefined;
  /** 1 the destination, 2 the source of a comparison is a pointer to stack. */
  readonly pointers: number;
}

/** What is known at one place on one path (struct bpf_verifier_state). */
export class State {
  frames: Frame[];
  /** The last checkpoint on the way here. */
  parent: State | undefined;
  /** Paths from here that have not ended. */
  branches = 1;
  insn = 0;
  firstInsn = 0;
  lastInsn = -1;
  /** Executed since the parent. */
  history: History | undefined;
  /** Entries that the kernel would keep of it. */
  historyWeight = 0;
  depth = 0;
  callbackUnrollDepth = 0;
  /** What bpf_spin_lock has taken (active_lock). */
  lock: HeldLock | undefined;
  hits = 0;
  misses = 0;

  constructor(frames: Frame[]) {
    this.frames = frames;
  }

  get current(): Frame {
    return this.frames.at(-1) as Frame;
  }

  copy(): State {
    const copy = new State(this.frames.map((frame) => frame.copy()));
    copy.parent = this.parent;
    copy.branches = this.branches;
    copy.insn = this.insn;
    copy.firstInsn = this.firstInsn;
    copy.lastInsn = this.lastInsn;
    copy.history = this.history;
    copy.historyWeight = this.historyWeight;
    copy.depth = this.depth;
    copy.callbackUnrollDepth = this.callbackUnrollDepth;
    copy.lock = this.lock;
    return copy;
  }

  /** Every register and spilled register of every frame, replaced by what `change` answers. */
  replaceRegs(change: (reg: Reg) => Reg): void {
    for (const frame of this.frames) {
      for (const [index, reg] of frame.regs.entries()) frame.regs[index] = change(reg);
      for (const [index, slot] of frame.stack.entries()) {
        if (!isSpilled(slot)) continue;
        const reg = change(slot.reg);
        if (reg !== slot.reg) frame.stack[index] = { types: slot.types, reg };
      }
    }
  }
}

export const regAt = (state: State, { frame, isSlot, index }: RegPlace): Reg | undefined => {
  const found = state.frames[frame];
  return isSlot ? found?.stack[index]?.reg : found?.regs[index];
};

export function setRegAt(state: State, { frame, isSlot, index }: RegPlace, reg: Reg): void {
  const found = state.frames[frame] as Frame;
  if (isSlot) found.stack[index] = { types: found.slot(index).types, reg };
  else found.regs[index] = reg;
}
