/**
 * Simulated tasks: where they are in the kernel, which is what a livepatch transition and the lifetimes of generated code ask. Deciding about
 * one changes no text by itself.
 */
import { err, type Fault, ok, type ReadableText, type Result } from '../../base/index.ts';
import { advanceLingering } from '../arena.ts';
import { bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded, refused } from '../decision.ts';
import { isOutside, updatePatchState } from '../livepatch/tasks.ts';
import type { AttachIdentity } from '../model/request.ts';
import type { KernelState, Task, TaskKind, TaskRunState } from '../model/state.ts';
import { refuse } from '../rules/rule.ts';
import { TASK_ATOMIC, TASK_LIMIT, TASK_UNKNOWN } from '../rules/task.ts';
import { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import { enterStack } from './enter.ts';

export const TASKS_MAX = 1_000;
export const FRAMES_MAX = 100;

export interface TaskRequest {
  readonly name: string;
  readonly kind: TaskKind;
  readonly state?: TaskRunState;
  /** Places, innermost first. */
  readonly stack?: readonly string[];
  readonly reliable?: boolean;
}

export type TaskChange = Pick<TaskRequest, 'state' | 'stack' | 'reliable'>;

export type TaskDecision = DecisionOf<{ readonly task: Task }>;

/** What is not said: a task in a call sleeps as it did or interruptibly; outside, a kthread sleeps and the others run. */
function stateOf(change: TaskChange, kind: TaskKind, before: Task | undefined): TaskRunState {
  if (change.state !== undefined) return change.state;
  if (before !== undefined && (change.stack === undefined || (change.stack.length > 0 && before.stack.length > 0)))
    return before.state;
  return (change.stack ?? []).length > 0 || kind === 'kthread' ? 'interruptible' : 'running';
}

/** Puts a task where the change says. One that left the kernel on the way has gone over to a patch in transition. */
function moved(txn: Txn, task: Task, change: TaskChange): Result<Task> {
  const stack = change.stack === undefined ? ok(task.stack) : enterStack(txn, task, change.stack);
  if (!stack.ok) return stack;
  const next: Task = { ...task, stack: stack.value, isReliable: change.reliable ?? task.isReliable };
  const atomic = next.stack.findIndex((each) => each.reads === 'rcu' || each.reads === 'rcu_tasks');
  if (atomic >= 0 && next.state !== 'running')
    return err(
      refuse(TASK_ATOMIC, { detail: `${next.stack[atomic]?.text} is code in which nobody sleeps.`, index: atomic }),
    );
  return ok(isOutside(next) ? updatePatchState(txn, next) : next);
}

function decide(world: World, state: KernelState, text: ReadableText, step: (txn: Txn) => Result<Task>): TaskDecision {
  return guarded<{ readonly task: Task }>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const done = step(txn);
    if (!done.ok) return refused(state, done.fault);
    advanceLingering(txn);
    return {
      outcome: { kind: 'granted', task: done.value },
      state: txn.finish(),
      ops: txn.ops,
      warnings: txn.warnings,
      replaced: txn.replaced,
    };
  });
}

export const taskUnknown = (id: string): Fault => refuse(TASK_UNKNOWN, { detail: `There is no task ${id}.` });

/** A new task. During a transition it is one whose parent has gone over (klp_copy_process copies the parent's state). */
export function decideNewTask(
  world: World,
  state: KernelState,
  text: ReadableText,
  input: { readonly request: TaskRequest; readonly identity: AttachIdentity },
): TaskDecision {
  const { request, identity } = input;
  if (state.tasks.size >= TASKS_MAX)
    return refused(state, refuse(TASK_LIMIT, { detail: `There are ${state.tasks.size} tasks.` }));
  return decide(world, state, text, (txn) => {
    const blank: Task = {
      id: identity.id,
      name: request.name,
      kind: request.kind,
      client: identity.client,
      tenant: identity.tenant,
      sinceMs: identity.nowMs,
      state: stateOf(request, request.kind, undefined),
      stack: [],
      isReliable: true,
      patchState: txn.livepatching.transition?.target,
      isPatchPending: false,
    };
    const task = moved(txn, blank, request);
    if (task.ok) txn.tasks.set(task.value.id, task.value);
    return task;
  });
}

/** The task is somewhere else now. */
export function decideMoveTask(
  world: World,
  state: KernelState,
  text: ReadableText,
  id: string,
  change: TaskChange,
): TaskDecision {
  const before = state.tasks.get(id);
  if (before === undefined) return refused(state, taskUnknown(id));
  return decide(world, state, text, (txn) => {
    const task = moved(txn, { ...before, state: stateOf(change, before.kind, before) }, change);
    if (task.ok) txn.tasks.set(id, task.value);
    return task;
  });
}

/** do_exit. */
export function decideEndTask(world: World, state: KernelState, text: ReadableText, id: string): TaskDecision {
  const before = state.tasks.get(id);
  if (before === undefined) return refused(state, taskUnknown(id));
  return decide(world, state, text, (txn) => {
    txn.tasks.delete(id);
    return ok(before);
  });
}
