import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import type { AttachRequest, PlanCostAnswer } from './index.ts';

const F = 'tcp_set_state';
const ME = caller('me');

async function costs(...requests: readonly AttachRequest[]): Promise<readonly PlanCostAnswer[]> {
  const coordinator = testCoordinator(await builtinImage(), 'safe');
  const steps = [...requests.map((attach) => ({ attach })), ...requests.map((_, i) => ({ detach: `plan:${i}` }))];
  const plan = coordinator.plan(ME, steps);
  assert.ok(plan.ok && plan.value.wouldSucceed);
  return plan.value.steps.map(({ cost }) => cost);
}

describe('the cost of a planned step', () => {
  it('has the grace periods before generated code is freed', async () => {
    const [on, off] = await costs({ kind: 'ftrace', target: F });
    assert.deepEqual(on?.graces, { rcu: 0, rcu_tasks: 0, rcu_tasks_rude: 0, rcu_tasks_trace: 0, percpu_ref: 0 });
    assert.ok((off?.graces.rcu_tasks ?? 0) >= 1, 'a dynamic ops waits for rcu_tasks before its trampoline goes');
    assert.ok((off?.graces.rcu_tasks_rude ?? 0) >= 1);
  });

  it('keeps what was published apart from what follows from the ops, with its source', async () => {
    const [on, off] = await costs({ kind: 'kprobe', target: F, options: { via: 'perf' } });
    assert.deepEqual(on?.estimate?.milliseconds, { low: 2.88, high: 86 });
    assert.ok(on?.estimate?.figures.every(({ source }) => /pwru|cilium\/ebpf/.test(source)));
    assert.match(on?.estimate?.note ?? '', /not a measurement/);
    assert.equal(off?.estimate, null, 'nobody published how long one takes to leave');
  });

  it('gives no number where the source has none, and nothing to kinds without a source', async () => {
    const [fentry, kretprobe] = await costs({ kind: 'fentry', target: F }, { kind: 'kretprobe', target: F });
    assert.equal(fentry?.estimate?.milliseconds, null);
    assert.match(fentry?.estimate?.figures[0]?.published ?? '', /tens of minutes/);
    assert.equal(kretprobe?.estimate, null);
  });
});
