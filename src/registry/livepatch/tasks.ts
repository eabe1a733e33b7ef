/**
 * Which tasks can go over to the other set of functions, and how they do.
 * Source: kernel/livepatch/transition.c klp_check_stack_func, klp_check_stack, klp_check_and_switch_task, klp_try_switch_task,
 * klp_update_patch_state, klp_send_signals (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import type { KlpTransition, Task } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { replacementBelow } from './stack.ts';

/** SIGNALS_TIMEOUT: the tasks that are left are sent a signal at every fifteenth attempt. */
export const SIGNALS_TIMEOUT = 15;

/** Why a task cannot be switched now. */
export type Obstacle =
  /** It runs on a CPU: task_curr. */
  | { readonly errno: 'EBUSY' }
  /** Its stack cannot be relied upon. */
  | { readonly errno: 'EINVAL' }
  /** It sleeps in a function that the patch changes, or in the replacement that it takes away. */
  | { readonly errno: 'EADDRINUSE'; readonly func: number };

interface CodeRange {
  readonly at: number;
  readonly size: number;
}

/** The code that no stack may be in: what the function has been so far, or this patch's replacement when it goes. */
function codeToLeave(txn: Txn, transition: KlpTransition, func: number): CodeRange {
  const patched = txn.livepatches.get(func);
  invariant(patched !== undefined, () => `${txn.place(func)} is not livepatched`);
  const original = { at: func, size: txn.world.image.symbols.containing(func)?.size ?? 0 };
  if (transition.target === 'patched') return replacementBelow(patched, transition.attachment) ?? original;
  const own = patched.stack.find((each) => each.attachment === transition.attachment);
  invariant(own !== undefined, () => `${transition.attachment} does not patch ${txn.place(func)}`);
  return own;
}

/** klp_try_switch_task without the switch: why the task cannot go over now; undefined: it can, or has. */
export function obstacle(txn: Txn, transition: KlpTransition, task: Task): Obstacle | undefined {
  if (task.patchState === transition.target) return undefined;
  if (task.state === 'running') return { errno: 'EBUSY' };
  if (!task.isReliable) return { errno: 'EINVAL' };
  for (const [func, patched] of txn.livepatches) {
    if (!patched.stack.some((each) => each.attachment === transition.attachment)) continue;
    const { at, size } = codeToLeave(txn, transition, func);
    if (task.stack.some((frame) => frame.at >= at && frame.at < at + size)) return { errno: 'EADDRINUSE', func };
  }
  return undefined;
}

/** klp_update_patch_state: the task leaves the kernel, or passes the idle loop. */
export function updatePatchState(txn: Txn, task: Task): Task {
  const target = txn.livepatching.transition?.target;
  if (target === undefined || !task.isPatchPending) return task;
  return { ...task, patchState: target, isPatchPending: false };
}

/** In user mode, or the idle task between two rounds of its loop. */
export const isOutside = (task: Task): boolean => task.stack.length === 0 && task.kind !== 'kthread';

/**
 * What tasks do between two attempts by themselves: an idle task that runs is woken and passes its loop, whatever it called; a task in
 * user mode comes back there from its next interrupt.
 */
function goesOnByItself(task: Task): boolean {
  if (task.state !== 'running') return false;
  return task.kind === 'idle' || (task.kind === 'user' && task.stack.length === 0);
}

/** The end of an attempt that left tasks behind. */
export function letTasksGoOn(txn: Txn): void {
  for (const task of [...txn.tasks.values()])
    if (task.isPatchPending && goesOnByItself(task)) txn.tasks.set(task.id, updatePatchState(txn, task));
}

/**
 * klp_send_signals. A user task that sleeps interruptibly gives up what it waits for and returns to user mode, where it goes over. A kthread is
 * woken and nothing more is known of it, so it is taken to sleep again; nobody else hears of it.
 */
export function sendSignals(txn: Txn): void {
  for (const task of [...txn.tasks.values()]) {
    if (!task.isPatchPending || task.kind !== 'user' || task.state !== 'interruptible') continue;
    txn.tasks.set(task.id, updatePatchState(txn, { ...task, state: 'running', stack: [] }));
  }
}
