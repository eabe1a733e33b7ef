import { PATCHERS_MAX } from '../scenario/check-contents.ts';
import { GRACE_PERIODS, type GracePeriod } from '../scenario/scenario.ts';
import { type CpuLocal, type CpuState, isIdle, START } from './cpu-state.ts';

const bitOf = (patcher: number, kind: GracePeriod): number =>
  1 << (patcher * GRACE_PERIODS.length + GRACE_PERIODS.indexOf(kind));

/**
 * Whether a grace period that begins now has to wait for a CPU, and one that waits for it still has to.
 *
 * - `rcu_tasks` (synchronize_rcu_tasks): a task that is inside the kernel, until it has slept of its own accord or left it. Being interrupted or
 *   preempted is not enough, which is what makes it fit for code that is being executed. Interrupts that run are waited for, too: it begins and ends with
 *   synchronize_rcu (kernel/rcu/tasks.h, 6.12).
 * - `rcu_tasks_trace`: a task inside rcu_read_lock_trace, sleeping or not.
 * - `percpu_ref`: a task that holds a reference.
 */
export function mustWaitFor({ frames, ...local }: CpuLocal, kind: GracePeriod): boolean {
  const [task] = frames;
  if (task === undefined) return false;
  if (kind === 'rcu_tasks' && frames.length > 1) return true;
  if (kind === 'rcu_tasks') return task.rip !== START && task.isAsleep !== true && !isIdle({ frames, ...local });
  return frames.some((frame) => (kind === 'percpu_ref' ? frame.refs : frame.trace) > 0);
}

/** A patcher's grace period begins. */
export function beginWait(cpu: CpuState, patcher: number, kind: GracePeriod): CpuState {
  return mustWaitFor(cpu.local, kind) ? { ...cpu, awaited: cpu.awaited | bitOf(patcher, kind) } : cpu;
}

export const isAwaited = (cpu: CpuState, patcher: number, kind: GracePeriod): boolean =>
  (cpu.awaited & bitOf(patcher, kind)) !== 0;

/** Something happened on a CPU that ends grace periods of a kind, as far as they wait for it. */
export function quiesce(awaited: number, kind: GracePeriod): number {
  let rest = awaited;
  for (let patcher = 0; patcher < PATCHERS_MAX; patcher++) rest &= ~bitOf(patcher, kind);
  return rest;
}
