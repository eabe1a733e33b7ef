/** Plans of many steps with `solve=order`: what is too much is said to be, and a thousand steps are not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttachRequest, Coordinator, PlanAnswer, PlanStep } from '../../src/coordinator/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';

const POST = { postHandler: true };

const step = (kind: AttachRequest['kind'], target: string, options = {}): PlanStep => ({
  attach: { kind, target, options },
});

async function solve(steps: readonly PlanStep[]): Promise<PlanAnswer> {
  const coordinator: Coordinator = testCoordinator(await builtinImage(), 'safe');
  const answer = coordinator.plan(caller(), steps, undefined, { solve: 'order' });
  assert.ok(answer.ok);
  return answer.value;
}

describe('solve=order of many steps', () => {
  it('counts the programs of a trampoline', async () => {
    const fentry = step('fentry', 'bpf_modify_return_test');
    const fexit = step('fexit', 'bpf_modify_return_test');
    const alike = await solve([step('ftrace', 'bpf_modify_return_test'), ...Array.from({ length: 39 }, () => fentry)]);
    assert.equal(alike.conflict?.steps.length, 39);
    assert.equal(alike.conflict?.why.rule, 'bpf.trampoline.too-many-programs');
    assert.equal(alike.conflict?.isSmallest, true);
    const mixed = await solve(Array.from({ length: 41 }, (_, i) => (i % 2 === 0 ? fentry : fexit)));
    assert.equal(mixed.conflict?.steps.length, 39);
  });

  it('gives up beyond its bounds and says so', async () => {
    const posts = Array.from({ length: 5_000 }, () => step('kprobe', 'vfs_read', POST));
    const many = await solve([step('livepatch', 'vfs_read'), ...posts]);
    assert.deepEqual([many.search?.isComplete, many.order, many.conflict], [false, undefined, undefined]);
    assert.match(many.search?.note ?? '', /more than 5000 steps/);
  });

  it('orders a thousand steps of many functions', async () => {
    const names = ['tcp_set_state', 'vfs_read', 'bpf_fentry_test1', 'bpf_modify_return_test'];
    const nameOf = (i: number): string => names[(i >> 1) % names.length] as string;
    const answer = await solve(
      Array.from({ length: 1_000 }, (_, i) => step('kprobe', nameOf(i), i % 2 === 0 ? {} : POST)),
    );
    assert.equal(answer.wouldSucceed, true);
    assert.equal(new Set(answer.order).size, 1_000);
  });
});
