/**
 * Which simulated tasks hold up a grace period. Source: kernel/rcu/tasks.h, kernel/bpf/trampoline.c __bpf_tramp_enter, __bpf_prog_enter,
 * __bpf_prog_enter_sleepable (6.12).
 */
import type { Lingering, Task } from '../model/state.ts';
import type { GracePeriod } from '../text-op.ts';
import type { Txn } from '../txn.ts';

type Waits = Lingering['waitsFor'];

/** A voluntary switch, user mode and the idle loop are what rcu_tasks waits for: a task that runs in the kernel has not had one. */
const holdsUpRcuTasks = (task: Task): boolean =>
  task.state === 'running' && task.kind !== 'idle' && task.stack.length > 0;

function framesOf(txn: Txn, matches: (frame: Task['stack'][number]) => boolean): Waits {
  return [...txn.tasks.values()].flatMap((task) =>
    task.stack.filter(matches).map((frame) => ({ task: task.id, frame: frame.serial })),
  );
}

/** Who is in a section that a grace period for the code at `at` would wait for, were it to begin now. */
export function whoHoldsUp(txn: Txn, grace: GracePeriod, at: number): Waits {
  if (txn.tasks.size === 0) return [];
  switch (grace) {
    case 'rcu_tasks':
      return [...txn.tasks.values()].filter(holdsUpRcuTasks).map(({ id }) => ({ task: id, frame: undefined }));
    case 'rcu_tasks_trace':
    case 'rcu':
      return framesOf(txn, (frame) => frame.reads === grace);
    case 'percpu_ref':
      return framesOf(txn, (frame) => frame.image === at);
    case 'rcu_tasks_rude':
      // A work item on every CPU: it preempts whoever runs there.
      return [];
  }
}

/** Those of them that still are. Who came later does not count. */
export function stillHoldingUp(txn: Txn, lingering: Lingering): Waits {
  return lingering.waitsFor.filter(({ task: id, frame }) => {
    const task = txn.tasks.get(id);
    if (task === undefined) return false;
    return frame === undefined ? holdsUpRcuTasks(task) : task.stack.some((each) => each.serial === frame);
  });
}
