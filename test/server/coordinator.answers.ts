/** Answers of the fake coordinator that never change. */
import type { KernelsView, TextMutexView } from '../../src/coordinator/index.ts';

export const TEXT_MUTEX: TextMutexView = {
  holder: null,
  heldSinceMs: null,
  waiting: [],
  acquisitions: 7,
  waitMs: { p50: 1, p99: 2 },
  holdMs: { p50: 3, p99: 4 },
};

export const KERNELS: KernelsView = { image: '6.12.0-fake', rules: '6.12', versions: [], facts: [] };

export const COST = { pokes: 1, batches: 1, syncRounds: 3, textMutexHeldUs: 41 } as const;
export const PLAN_COST = {
  ...COST,
  textMutexHeldUs: 0,
  graces: { rcu: 0, rcu_tasks: 1, rcu_tasks_rude: 0, rcu_tasks_trace: 0, percpu_ref: 0 },
  estimate: { milliseconds: null, figures: [{ published: 'long', source: 'a paper' }], note: 'An estimate.' },
  later: { pokes: 1, batches: 1, syncRounds: 3 },
} as const;
