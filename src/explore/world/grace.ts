import { PATCHERS_MAX } from '../scenario/check-contents.ts';
import { GRACE_PERIODS, type GracePeriod } from '../scenario/scenario.ts';
import { type CpuLocal, type CpuState, type Frame, isIdle, START } from './cpu-state.ts';

const bitOf = (patcher: number, kind: GracePeriod): number =>
  1 << (patcher * GRACE_PERIODS.length + GRACE_PERIODS.indexOf(kind));

/**
 * Whether a grace period that begins now has to wait for a CPU's task.
 *
 * - `rcu_tasks` (synchronize_rcu_tasks): a task that is inside the kernel, until it has slept of its own accord or left it. Being interrupted or
 *   preempted is not enough, which is what makes it fit for code that is being executed.
 * - `rcu_tasks_trace`: a task inside rcu_read_lock_trace, sleeping or not.
 * - `percpu_ref`: a task that holds a reference.
 */
function mustWaitFor({ frames, ...local }: CpuLocal, kind: GracePeriod): boolean {
  const [task] = frames;
  if (task === undefined) return false;
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

/** The kinds that a step from one frame to the next ends. `slept`: the task slept of its own accord, or left the kernel. */
export function endedBy(before: Frame, after: Frame, slept: boolean): readonly GracePeriod[] {
  return GRACE_PERIODS.filter((kind) => {
    if (kind === 'rcu_tasks') return slept;
    if (kind === 'rcu_tasks_trace') return before.trace > 0 && after.trace === 0;
    return before.refs > 0 && after.refs === 0;
  });
}
