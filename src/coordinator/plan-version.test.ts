import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import type { PlanStep } from './service.ts';

const CALLER = caller();
const steps = (...kinds: readonly string[]): readonly PlanStep[] =>
  kinds.map((kind) => ({
    attach: {
      kind: kind as 'kprobe',
      target: 'bpf_modify_return_test',
      ...(kind === 'livepatch' ? { options: { patch: 'fix' } } : {}),
    },
  }));

describe('a plan by the rules of another kernel', () => {
  it('differs where the kernels differ: livepatch, fentry, fexit', async () => {
    const coordinator = testCoordinator(await builtinImage(), 'safe');
    const wishes = steps('livepatch', 'fentry', 'fexit');
    const here = coordinator.plan(CALLER, wishes);
    const there = coordinator.plan(CALLER, wishes, '6.1');
    assert.ok(here.ok && there.ok);
    assert.deepEqual([here.value.kernel, here.value.wouldSucceed], ['6.12', true]);
    assert.deepEqual([there.value.kernel, there.value.wouldSucceed], ['6.1', false]);
    assert.equal(there.value.steps[2]?.rule, 'bpf.trampoline.ipmodify-order');
    assert.equal(there.value.steps[2]?.problem?.kernel, '6.1');
  });

  it('is unknown where the rules are not built, and changes nothing', async () => {
    const coordinator = testCoordinator(await builtinImage(), 'safe');
    const answer = coordinator.plan(CALLER, steps('kprobe'), '5.4');
    assert.ok(answer.ok);
    assert.deepEqual(
      answer.value.steps.map((step) => step.verdict),
      ['unknown'],
    );
    assert.equal(answer.value.wouldSucceed, false);
    assert.equal(coordinator.audit().differing, 0);
  });
});
