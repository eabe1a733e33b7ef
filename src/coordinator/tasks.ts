/** Simulated tasks: made, moved and ended under text_mutex like everything that decides about text. */
import { err, ok, type Result } from '../base/index.ts';
import {
  decideEndTask,
  decideMoveTask,
  decideNewTask,
  refuse,
  TASK_NOT_YOURS,
  type Task,
  type TaskChange,
  type TaskDecision,
  type TaskRequest,
  type Txn,
  taskUnknown,
} from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import { wireAddress } from './answers.ts';
import type { Command, CommandTurn } from './command.ts';
import { reject } from './commands.ts';
import type { Kernel } from './kernel.ts';
import { pageOf } from './paging.ts';
import type { Caller } from './service.ts';
import type { TaskCalls, TaskView } from './service-tasks.ts';

export const taskView = (view: Txn, task: Task): TaskView => ({
  id: task.id,
  name: task.name,
  kind: task.kind,
  client: task.client,
  since: new Date(task.sinceMs).toISOString(),
  state: task.state,
  stack: task.stack.map((frame) => ({
    address: wireAddress(view.world, frame.at),
    place: view.place(frame.at),
    asked: frame.text,
  })),
  reliable: task.isReliable,
  patchState: task.patchState ?? null,
  patchPending: task.isPatchPending,
});

function own(kernel: Kernel, caller: Caller, id: string): Result<Task> {
  const task = kernel.state.tasks.get(id);
  if (task === undefined) return err(taskUnknown(id));
  if (caller.isAdmin || caller.tenant === task.tenant) return ok(task);
  return err(refuse(TASK_NOT_YOURS, { detail: `${id} belongs to another tenant.` }));
}

/** Makes the decision real and tells. */
function take(
  { kernel, held, caller }: CommandTurn,
  decision: TaskDecision,
  what: 'started' | 'moved' | 'ended',
): Result<TaskView> {
  kernel.apply(held, decision, { client: caller.client, kind: 'task' });
  const { outcome } = decision;
  if (outcome.kind === 'refused') return reject(kernel, caller, { task: what }, outcome.fault);
  const view = taskView(kernel.view(), outcome.task);
  const { id, name, kind, state, client } = view;
  const stack = view.stack.map(({ place }) => place);
  kernel.events.append('task', { task: id, name, kind, state, stack, client, by: caller.client, what });
  announcePokes(kernel, caller, null, decision.ops);
  return ok(view);
}

export const NEW_TASK: Command<TaskRequest, TaskView> = {
  kind: 'new-task',
  describe: () => 'start a task',
  run(turn, request) {
    const { kernel, caller, now } = turn;
    const identity = { id: now.newId('task'), client: caller.client, tenant: caller.tenant, nowMs: now.ms };
    return take(turn, decideNewTask(kernel.world, kernel.state, kernel.text, { request, identity }), 'started');
  },
};

export const MOVE_TASK: Command<{ readonly id: string; readonly change: TaskChange }, TaskView> = {
  kind: 'move-task',
  describe: () => 'move a task',
  run(turn, { id, change }) {
    const { kernel, caller } = turn;
    const task = own(kernel, caller, id);
    if (!task.ok) return reject(kernel, caller, { task: id }, task.fault);
    return take(turn, decideMoveTask(kernel.world, kernel.state, kernel.text, id, change), 'moved');
  },
};

export const END_TASK: Command<{ readonly id: string }, TaskView> = {
  kind: 'end-task',
  describe: () => 'end a task',
  run(turn, { id }) {
    const { kernel, caller } = turn;
    const task = own(kernel, caller, id);
    if (!task.ok) return reject(kernel, caller, { task: id }, task.fault);
    return take(turn, decideEndTask(kernel.world, kernel.state, kernel.text, id), 'ended');
  },
};

export const taskCalls = (kernel: Kernel): TaskCalls => ({
  newTask: (caller, request) => kernel.execute(NEW_TASK, caller, request),
  moveTask: (caller, id, change) => kernel.execute(MOVE_TASK, caller, { id, change }),
  endTask: (caller, id) => kernel.execute(END_TASK, caller, { id }),
  tasks: (page) => {
    const view = kernel.view();
    return pageOf([...view.tasks.values()], page, (task) => taskView(view, task));
  },
  task: (id) => {
    const task = kernel.state.tasks.get(id);
    return task === undefined ? err(taskUnknown(id)) : ok(taskView(kernel.view(), task));
  },
});
