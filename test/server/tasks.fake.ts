/** Simulated tasks of the coordinator for tests of the edge. */
import { err, ok } from '../../src/base/index.ts';
import type { Caller, Coordinator, TaskView } from '../../src/coordinator/index.ts';

const ADDRESS = '0xffffffff81a3c4d0';

type Tasks = Pick<Coordinator, 'newTask' | 'moveTask' | 'endTask' | 'tasks' | 'task'>;

const frames = (stack: readonly string[] = []): TaskView['stack'] =>
  stack.map((place) => ({ address: ADDRESS, place, asked: place }));

export function fakeTasks(callers: Caller[]): Tasks {
  const tasks = new Map<string, TaskView>();
  const unknown = (id: string) =>
    err({ errno: 'ESRCH' as const, rule: 'task.unknown', detail: `There is no task ${id}.` });
  const task = (id: string) => {
    const found = tasks.get(id);
    return found === undefined ? unknown(id) : ok(found);
  };
  return {
    async newTask(caller, { name, kind, stack, state, reliable }) {
      callers.push(caller);
      const view: TaskView = {
        id: `task_${tasks.size + 1}`,
        name,
        kind,
        client: caller.client,
        since: '2026-01-01T00:00:00.000Z',
        state: state ?? 'interruptible',
        stack: frames(stack),
        reliable: reliable ?? true,
        patchState: null,
        patchPending: false,
      };
      tasks.set(view.id, view);
      return ok(view);
    },
    async moveTask(_caller, id, { stack, state }) {
      const found = tasks.get(id);
      if (found === undefined) return unknown(id);
      const moved = { ...found, state: state ?? found.state, stack: stack === undefined ? found.stack : frames(stack) };
      tasks.set(id, moved);
      return ok(moved);
    },
    async endTask(_caller, id) {
      const found = task(id);
      tasks.delete(id);
      return found;
    },
    tasks: () => ok({ items: [...tasks.values()], nextCursor: null }),
    task,
  };
}
