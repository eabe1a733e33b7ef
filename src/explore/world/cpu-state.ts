import { IF } from '../../cpu/index.ts';

/** Bit 1 of RFLAGS. */
const ALWAYS_ONE = 0x2;

/** Where a frame stands when it stands nowhere in text. */
export const START = -1;
export const END = -2;

/**
 * What one CPU is doing, innermost frame last. A frame is what one call from outside runs: the task, an interrupt on top of it, an NMI on top
 * of both. Immutable; numbered by an Interner.
 */
export interface CpuLocal {
  /** Index of the scenario's description of this CPU. */
  readonly spec: number;
  readonly frames: readonly Frame[];
  /** Calls the task has left; -1: for ever. */
  readonly runs: number;
  readonly irqs: number;
  readonly nmis: number;
}

export interface Frame {
  readonly kind: 'task' | 'irq' | 'nmi';
  /** Place in text, START or END. */
  readonly rip: number;
  /** What has been pushed, innermost last; what brought the call here is not in it. */
  readonly stack: readonly StackSlot[];
  /** Words of registers that are not what they were in the beginning, each behind its index. */
  readonly registers: readonly number[];
  /** RFLAGS. */
  readonly flags: number;
  /** Right behind an sti. */
  readonly isShadowed?: true;
  /** Owners that were attached when the call began and are still. */
  readonly must: number;
  /** How often each owner was run by this call, by index; ends with the last that was. */
  readonly fired: readonly number[];
  /** Depth of rcu_read_lock_trace. */
  readonly trace: number;
  /** References to trampoline images (percpu_ref). */
  readonly refs: number;
  /** Has gone to sleep of its own accord, and not come back. */
  readonly isAsleep?: true;
  /** An int3 that is being handled. */
  readonly trap?: Trap;
}

/** Eight bytes: a place in text (a return address), or any other value, hex. */
export type StackSlot = number | string;

/** exc_int3's order: poke_int3_handler, then kprobes; then it is an oops. */
export interface Trap {
  /** Where the int3 is. */
  readonly at: number;
  /**
   * `poke`: about to look for a vector. `peeked`: saw one and took no reference (a mutant). `held`: has a reference and what the handler answered. `kprobe`:
   * it was not the poke handler's.
   */
  readonly stage: 'poke' | 'peeked' | 'held' | 'kprobe';
  readonly answer?: Resume;
  /** `peeked`: what was published then. */
  readonly saw?: string;
}

/** Where a played instruction goes. */
export type Resume =
  | { readonly kind: 'jmp'; readonly target: number }
  | { readonly kind: 'call'; readonly target: number; readonly returnTo: number }
  | { readonly kind: 'ret' };

/** One CPU, complete: all that decides what it can do next, beside what all share. */
export interface CpuState {
  readonly local: CpuLocal;
  /** Of VisibleText. */
  readonly view: number;
  /** A text_poke_sync waits for this CPU. */
  readonly isPending: boolean;
  /** Grace periods that wait for this CPU: one bit for each patcher and kind. */
  readonly awaited: number;
}

export const emptyFrame = (kind: Frame['kind']): Frame => ({
  kind,
  rip: START,
  stack: [],
  registers: [],
  // Interrupt gates clear IF.
  flags: kind === 'task' ? IF | ALWAYS_ONE : ALWAYS_ONE,
  must: 0,
  fired: [],
  trace: 0,
  refs: 0,
});

/** The same where its call has returned: nobody reads its registers any more. */
export const ended = ({ isShadowed: _, ...frame }: Frame): Frame => ({
  ...frame,
  rip: END,
  stack: [],
  registers: [],
  flags: (frame.flags & IF) | ALWAYS_ONE,
});

export const top = (local: CpuLocal): Frame => {
  const frame = local.frames.at(-1);
  if (frame === undefined) throw new RangeError('a CPU without a frame');
  return frame;
};

/** The same with another innermost frame. */
export const withTop = (local: CpuLocal, frame: Frame): CpuLocal => ({
  ...local,
  frames: [...local.frames.slice(0, -1), frame],
});

/** The task waits for nothing and has nothing left to do. */
export const isIdle = ({ frames, runs }: CpuLocal): boolean =>
  frames.length === 1 && frames[0]?.rip === START && runs === 0;

/** Nothing can happen on this CPU any more. */
export const isOff = (local: CpuLocal): boolean => isIdle(local) && local.irqs === 0 && local.nmis === 0;

/** IPIs and interrupts are taken: no handler is running, and the task has not disabled them. */
export function hasInterrupts({ frames }: CpuLocal): boolean {
  const [task] = frames;
  return frames.length === 1 && task !== undefined && task.trap === undefined && isInterruptible(task);
}

/** The boundary is one where IF lets interrupts in, and not right behind sti. */
export const isInterruptible = ({ flags, isShadowed }: Frame): boolean => (flags & IF) !== 0 && isShadowed !== true;

export const isInNmi = ({ frames }: CpuLocal): boolean => frames.some(({ kind }) => kind === 'nmi');

/** The frame with one run more of an owner. */
export function fire(frame: Frame, owner: number): Frame {
  const fired = [...frame.fired];
  while (fired.length <= owner) fired.push(0);
  fired[owner] = (fired[owner] ?? 0) + 1;
  return { ...frame, fired };
}
