import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import type { AttachRequest, Coordinator, PlanAnswer, PlanStep, Strictness } from './index.ts';

const F = 'bpf_modify_return_test';
const ME = caller('me');

const fresh = async (strictness: Strictness = 'safe'): Promise<Coordinator> =>
  testCoordinator(await builtinImage(), strictness);

const step = (kind: AttachRequest['kind'], options: Readonly<Record<string, unknown>> = {}, target = F): PlanStep => ({
  attach: { kind, target, options },
});

function solve(coordinator: Coordinator, steps: readonly PlanStep[]): PlanAnswer {
  const answer = coordinator.plan(ME, steps, undefined, { solve: 'order' });
  assert.ok(answer.ok);
  return answer.value;
}

const KPROBE = step('kprobe');
const POST = step('kprobe', { postHandler: true });
const FENTRY = step('fentry');
const LIVEPATCH = step('livepatch');

describe('solve=order', () => {
  it('keeps an order that works', async () => {
    const answer = solve(await fresh(), [KPROBE, FENTRY, LIVEPATCH]);
    assert.deepEqual([answer.order, answer.wouldSucceed, answer.conflict], [[0, 1, 2], true, undefined]);
  });

  it('puts first what has to come first, and tells the steps in that order by their own indexes', async () => {
    const answer = solve(await fresh(), [step('ftrace'), KPROBE, FENTRY, POST]);
    assert.deepEqual(answer.order, [0, 2, 3, 1]);
    assert.deepEqual(
      answer.steps.map(({ index, verdict }) => [index, verdict]),
      [
        [0, 'attached'],
        [2, 'chained'],
        [3, 'shared'],
        [1, 'shared'],
      ],
    );
  });

  it('orders each function by itself', async () => {
    const other = 'tcp_set_state';
    const steps = [KPROBE, step('kprobe', {}, other), POST, step('kprobe', { postHandler: true }, other)];
    assert.deepEqual(solve(await fresh(), steps).order, [2, 0, 3, 1]);
  });

  it('names a pair that cannot coexist, and no bystander', async () => {
    const answer = solve(await fresh(), [step('ftrace'), POST, KPROBE, FENTRY, LIVEPATCH]);
    assert.equal(answer.wouldSucceed, false);
    assert.deepEqual([answer.conflict?.steps, answer.conflict?.isSmallest], [[1, 4], true]);
    assert.equal(answer.conflict?.why.rule, 'ftrace.ipmodify.exclusive');
    assert.deepEqual(
      answer.conflict?.why.holders.map(({ attachment }) => attachment),
      ['plan:1'],
    );
    assert.equal(answer.order, undefined);
  });

  it('names a step that is refused whatever comes first, and who holds the place', async () => {
    const coordinator = await fresh();
    const held = await coordinator.attach(ME, { kind: 'livepatch', target: F }, {});
    assert.ok(held.ok);
    const answer = solve(coordinator, [FENTRY, POST, KPROBE]);
    assert.deepEqual(answer.conflict?.steps, [1]);
    assert.deepEqual(
      answer.conflict?.why.holders.map(({ attachment }) => attachment),
      [held.value.id],
    );
    const freed = solve(coordinator, [POST, FENTRY, { detach: held.value.id }]);
    assert.equal(freed.wouldSucceed, true);
    assert.ok((freed.order?.indexOf(2) ?? 0) < (freed.order?.indexOf(0) ?? 0));
  });

  it('lets a cumulative livepatch make room', async () => {
    const named = (patch: string, target: string): PlanStep => step('livepatch', { patch }, target);
    const steps = [named('one', F), named('one', 'tcp_set_state'), step('livepatch', { replace: true }, 'vfs_read')];
    assert.deepEqual(solve(await fresh(), steps).order, [0, 2, 1]);
  });

  it('knows a detach that no order makes possible', async () => {
    const coordinator = await fresh();
    assert.deepEqual(solve(coordinator, [KPROBE, { detach: 'att_0' }]).conflict?.steps, [1]);
    assert.deepEqual(solve(coordinator, [{ detach: 'plan:1' }, KPROBE]).order, [1, 0]);
    assert.deepEqual(solve(coordinator, [KPROBE, { detach: 'plan:0' }, { detach: 'plan:0' }]).conflict?.steps, [1, 2]);
  });

  it('avoids in linux strictness what Linux grants and is damaged by, if another order does', async () => {
    const coordinator = await fresh('linux');
    const warned = coordinator.plan(ME, [KPROBE, POST]);
    assert.ok(warned.ok && warned.value.wouldSucceed && warned.value.steps.some(({ warnings }) => warnings.length > 0));
    const answer = solve(coordinator, [KPROBE, POST]);
    assert.deepEqual(answer.order, [1, 0]);
    assert.ok(answer.steps.every(({ warnings }) => warnings.length === 0));
  });
});
