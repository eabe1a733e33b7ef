/** Transitions that stall, end, are reversed and forced. Source: kernel/livepatch/transition.c (6.12). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';
import type { Fault } from '../../base/index.ts';
import type { KlpState, Task } from '../model/state.ts';
import { livepatchFacts } from './describe.ts';
import { klpHandlerTarget } from './stack.ts';

const F = 'tcp_set_state';
const G = 'vfs_read';

const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

const taskNow = (registry: RegistryLab, { id }: Task): Task => {
  const task = registry.state.tasks.get(id);
  assert.ok(task !== undefined);
  return task;
};

const target = (registry: RegistryLab): KlpState | undefined => registry.state.livepatching.transition?.target;

function fault(outcome: { readonly kind: string; readonly fault?: Fault }): string {
  assert.equal(outcome.kind, 'refused');
  return `${outcome.fault?.errno} ${outcome.fault?.rule}`;
}

const granted = (outcome: { readonly kind: string }): void => assert.equal(outcome.kind, 'granted');

/** Where a task with this patch state goes on when it calls F. */
function handler(registry: RegistryLab, state: KlpState | undefined, name = F): number | undefined {
  const patched = registry.state.livepatches.get(registry.at(name));
  return patched === undefined ? undefined : klpHandlerTarget(registry.view(), patched, state);
}

function clean(registry: RegistryLab): void {
  assert.deepEqual(registry.orphans(), []);
  assert.equal(registry.state.arena.allocations.size, 0);
  assert.equal(registry.hex(registry.at(F, 4), 5), '0f1f440000');
}

describe('a transition', () => {
  it('is over at once when nobody is in the way', async () => {
    const registry = await lab();
    registry.task([G]);
    const { id, warnings } = registry.attach('livepatch', F);
    assert.deepEqual([target(registry), warnings], [undefined, []]);
    registry.detach(id);
    clean(registry);
  });

  it('waits for a task that sleeps in the function, and ends when it has left the kernel', async () => {
    const registry = await lab();
    const sleeper = registry.task([G, F], { name: 'sleeper' });
    const other = registry.task([]);
    const patch = registry.attach('livepatch', F, { patch: 'fix' });
    assert.match(
      patch.warnings.join(),
      /^fix is in transition to patched: task_1 \(sleeper\) is sleeping on function tcp_set_state\.$/,
    );
    assert.deepEqual(
      [taskNow(registry, sleeper), taskNow(registry, other)].map(({ patchState, isPatchPending }) => [
        patchState,
        isPatchPending,
      ]),
      // The other one runs in user mode, so it could not be switched from outside; its next interrupt did it.
      [
        ['unpatched', true],
        ['patched', false],
      ],
    );
    assert.notEqual(registry.hex(registry.at(F, 4), 5), '0f1f440000', 'the site calls the handler from the start');
    registry.attempts(5);
    assert.equal(target(registry), 'patched');
    registry.moveTask(sleeper.id, { stack: [] });
    assert.equal(taskNow(registry, sleeper).patchState, 'patched', 'on its way out of the kernel');
    registry.attempts(1);
    assert.equal(target(registry), undefined);
    assert.equal(taskNow(registry, sleeper).patchState, undefined);
    registry.endTask(sleeper.id);
    registry.endTask(other.id);
    registry.detach(patch.id);
    clean(registry);
  });

  it('does not mind a task that only called the function from elsewhere in it than its code', async () => {
    const registry = await lab();
    const size = registry.world.image.symbols.containing(registry.at(F))?.size ?? 0;
    registry.task([registry.address(registry.at(F) + size)]);
    registry.attach('livepatch', F);
    assert.equal(target(registry), undefined, 'the address behind the function is not in it');
    registry.task([registry.address(registry.at(G) + 1)]);
    registry.attach('livepatch', G);
    assert.equal(target(registry), 'patched');
  });

  it('cannot look at a task that runs, nor rely on a stack that is not reliable', async () => {
    const registry = await lab();
    const runs = registry.task([G], { state: 'running' });
    const odd = registry.task([G], { reliable: false, kind: 'kthread' });
    const { id } = registry.attach('livepatch', F);
    const facts = livepatchFacts(registry.view(), registry.view().attachment(id));
    assert.deepEqual(
      facts.transition?.waitsFor.map(({ task, obstacle }) => [task.id, obstacle.errno]),
      [
        [runs.id, 'EBUSY'],
        [odd.id, 'EINVAL'],
      ],
    );
    registry.moveTask(runs.id, { state: 'uninterruptible' });
    registry.moveTask(odd.id, { reliable: true });
    registry.attempts(1);
    assert.equal(target(registry), undefined);
  });

  it('wakes idle tasks, which go over in their loop', async () => {
    const registry = await lab();
    registry.task([F], { kind: 'idle', state: 'running' });
    registry.attach('livepatch', F);
    assert.equal(target(registry), 'patched');
    registry.attempts(1);
    assert.equal(target(registry), undefined);
  });

  it('sends signals at the sixteenth attempt: an interruptible user task leaves, others stay', async () => {
    const registry = await lab();
    const tasks = [
      registry.task([F], { state: 'interruptible' }),
      registry.task([F], { state: 'uninterruptible' }),
      registry.task([F], { kind: 'kthread', state: 'interruptible' }),
    ];
    registry.attach('livepatch', F);
    registry.attempts(14);
    assert.equal(registry.state.livepatching.transition?.signals, 0);
    registry.attempts(1);
    assert.equal(registry.state.livepatching.transition?.signals, 1);
    assert.deepEqual(
      tasks.map((task) => taskNow(registry, task).isPatchPending),
      [false, true, true],
    );
    assert.deepEqual(taskNow(registry, tasks[0] as Task).stack, []);
    registry.attempts(15);
    assert.equal(registry.state.livepatching.transition?.signals, 2);
  });

  it('is the only one', async () => {
    const registry = await lab();
    const first = registry.attach('livepatch', G);
    registry.task([F]);
    const second = registry.attach('livepatch', F);
    assert.equal(registry.refused('livepatch', 'do_mmap').rule, 'livepatch.transition.in-progress');
    assert.equal(fault(registry.setEnabled(first.id, false).outcome), 'EBUSY livepatch.transition.in-progress');
    assert.equal(fault(registry.detach(first.id).outcome), 'EBUSY livepatch.transition.in-progress');
    assert.equal(fault(registry.detach(second.id).outcome), 'EAGAIN livepatch.module.in-use');
    assert.equal(
      registry.refused('livepatch', '__bpf_prog_enter').rule,
      'livepatch.function.no-site',
      'looked up first',
    );
  });

  it('begins with nothing when a function cannot be patched', async () => {
    const registry = await lab();
    registry.task([F]);
    registry.attach('ftrace_direct', G);
    const before = registry.state;
    assert.equal(registry.refused('livepatch', [F, G]).rule, 'ftrace.direct.not-sharing');
    assert.equal(registry.state, before);
  });
});

describe('going back', () => {
  it('waits for a task in the replacement', async () => {
    const registry = await lab();
    const patch = registry.attach('livepatch', F);
    const sleeper = registry.task([F]);
    const replacement = patch.owned[0] as number;
    assert.equal(sleeper.stack[0]?.at, replacement, 'its call went to the replacement');
    const inOriginal = registry.task([`${F}+0x5`]);
    assert.equal(fault(registry.detach(patch.id).outcome), 'EAGAIN livepatch.module.in-use');
    granted(registry.setEnabled(patch.id, false).outcome);
    assert.equal(target(registry), 'unpatched');
    assert.equal(taskNow(registry, inOriginal).patchState, 'unpatched');
    assert.equal(handler(registry, 'patched'), replacement);
    assert.equal(handler(registry, 'unpatched'), undefined);
    registry.endTask(sleeper.id);
    registry.attempts(1);
    assert.equal(target(registry), undefined);
    assert.equal(fault(registry.setEnabled(patch.id, true).outcome), 'EINVAL livepatch.patch.not-reenabled');
    assert.equal(registry.refused('livepatch', G, { patch: `livepatch_${patch.id}` }).rule, 'livepatch.patch.exists');
    registry.endTask(inOriginal.id);
    granted(registry.detach(patch.id).outcome);
    clean(registry);
  });

  it('reverses a transition in either direction, and the worker ends it', async () => {
    const registry = await lab();
    const sleeper = registry.task([F]);
    const patch = registry.attach('livepatch', F);
    assert.equal(fault(registry.setEnabled(patch.id, true).outcome), 'EINVAL livepatch.patch.same-state');
    granted(registry.setEnabled(patch.id, false).outcome);
    assert.equal(target(registry), 'unpatched');
    assert.equal(taskNow(registry, sleeper).isPatchPending, false, 'it never went over');
    granted(registry.setEnabled(patch.id, true).outcome);
    assert.deepEqual([target(registry), taskNow(registry, sleeper).isPatchPending], ['patched', true]);
    granted(registry.setEnabled(patch.id, false).outcome);
    registry.attempts(1);
    assert.equal(target(registry), undefined);
    assert.equal(registry.state.attachments.get(patch.id)?.isEnabled, false);
    granted(registry.detach(patch.id).outcome);
    registry.endTask(sleeper.id);
    clean(registry);
  });

  it('keeps the code of a patch that tasks were forced out of', async () => {
    const registry = await lab();
    const patch = registry.attach('livepatch', F);
    const sleeper = registry.task([F], { kind: 'kthread' });
    assert.equal(fault(registry.force(patch.id).outcome), 'EINVAL livepatch.transition.none');
    registry.setEnabled(patch.id, false);
    granted(registry.force(patch.id).outcome);
    assert.equal(target(registry), 'unpatched', 'until the worker comes by');
    registry.attempts(1);
    assert.equal(target(registry), undefined);
    assert.equal(fault(registry.detach(patch.id).outcome), 'EAGAIN livepatch.module.forced');
    registry.endTask(sleeper.id);
    assert.equal(fault(registry.detach(patch.id).outcome), 'EAGAIN livepatch.module.forced', 'for good');
    assert.deepEqual(registry.orphans(), []);
  });

  it('forces a patch in, whose code can be unloaded later', async () => {
    const registry = await lab();
    const sleeper = registry.task([F]);
    const patch = registry.attach('livepatch', F);
    registry.force(patch.id);
    registry.attempts(1);
    assert.equal(target(registry), undefined);
    registry.endTask(sleeper.id);
    granted(registry.detach(patch.id).outcome);
    clean(registry);
  });
});

describe('stacked patches', () => {
  it('check what the function has been so far: the replacement below', async () => {
    const registry = await lab();
    const one = registry.attach('livepatch', F);
    const sleeper = registry.task([F]);
    const original = registry.task([`${F}+0x5`]);
    const two = registry.attach('livepatch', F);
    const facts = livepatchFacts(registry.view(), registry.view().attachment(two.id));
    assert.deepEqual(
      facts.transition?.waitsFor.map(({ task }) => task.id),
      [sleeper.id],
    );
    assert.deepEqual([handler(registry, 'patched'), handler(registry, 'unpatched')], [two.owned[0], one.owned[0]]);
    registry.endTask(sleeper.id);
    registry.endTask(original.id);
    registry.attempts(1);
    granted(registry.detach(one.id).outcome);
    assert.equal(handler(registry, undefined), two.owned[0], 'the lower one can go first');
    granted(registry.detach(two.id).outcome);
    clean(registry);
  });

  it('are replaced by a cumulative one when its transition ends, with nops for what only they changed', async () => {
    const registry = await lab();
    const old = registry.attach('livepatch', [F, G], { patch: 'old' });
    const sleeper = registry.task([G]);
    const next = registry.attach('livepatch', F, { replace: true, patch: 'next' });
    assert.equal(sleeper.stack[0]?.at, old.owned[0]);
    const stackOf = (name: string) => registry.state.livepatches.get(registry.at(name))?.stack ?? [];
    assert.deepEqual(
      stackOf(G).map(({ patch, isNop }) => [patch, isNop]),
      [
        ['next', true],
        ['old', false],
      ],
    );
    assert.deepEqual([handler(registry, 'patched', G), handler(registry, 'unpatched', G)], [undefined, old.owned[0]]);
    assert.ok(registry.state.attachments.has(old.id), 'until the transition ends');
    assert.equal(registry.state.attachments.get(old.id)?.isEnabled, true);
    registry.endTask(sleeper.id);
    registry.attempts(1);
    assert.equal(registry.state.attachments.has(old.id), false);
    assert.deepEqual(
      stackOf(F).map(({ patch }) => patch),
      ['next'],
    );
    assert.deepEqual(stackOf(G), []);
    assert.equal(registry.hex(registry.at(G, 4), 5), '0f1f440000', 'the nop went with the patch that it stood for');
    registry.detach(next.id);
    clean(registry);
  });

  it('stay when a cumulative one is reversed', async () => {
    const registry = await lab();
    const old = registry.attach('livepatch', [F, G]);
    const sleeper = registry.task([F]);
    const next = registry.attach('livepatch', F, { replace: true });
    registry.setEnabled(next.id, false);
    registry.attempts(1);
    assert.equal(handler(registry, undefined), old.owned[0]);
    assert.equal(handler(registry, undefined, G), old.owned[0]);
    granted(registry.detach(next.id).outcome);
    registry.endTask(sleeper.id);
    granted(registry.detach(old.id).outcome);
    clean(registry);
  });

  it('leave their code behind when a cumulative one is forced', async () => {
    const registry = await lab();
    const old = registry.attach('livepatch', F);
    const sleeper = registry.task([F]);
    const next = registry.attach('livepatch', F, { replace: true });
    registry.force(next.id);
    registry.attempts(1);
    assert.equal(registry.state.attachments.get(old.id)?.isEnabled, false);
    assert.equal(fault(registry.detach(old.id).outcome), 'EAGAIN livepatch.module.forced');
    assert.ok(registry.state.arena.allocations.has(old.owned[0] as number));
    registry.endTask(sleeper.id);
    granted(registry.detach(next.id).outcome);
    assert.deepEqual(registry.orphans(), []);
  });
});

describe('a task', () => {
  it('stays in calls that it was in, counted from the outermost, and makes the others', async () => {
    const registry = await lab();
    const task = registry.task([F, G]);
    const patch = registry.attach('livepatch', 'do_mmap');
    registry.moveTask(task.id, { stack: ['do_mmap', F, G] });
    const moved = taskNow(registry, task);
    assert.deepEqual(moved.stack.slice(1), task.stack);
    assert.equal(moved.stack[0]?.at, patch.owned[0]);
    registry.moveTask(task.id, { stack: [G] });
    assert.deepEqual(taskNow(registry, task).stack, task.stack.slice(1));
    registry.moveTask(task.id, { stack: [F, G] });
    assert.notEqual(taskNow(registry, task).stack[0]?.serial, task.stack[0]?.serial, 'another call');
    assert.equal(taskNow(registry, task).state, 'interruptible');
    registry.moveTask(task.id, { stack: [] });
    assert.equal(taskNow(registry, task).state, 'running', 'in user mode');
    registry.moveTask(task.id, { stack: [F] });
    assert.equal(taskNow(registry, task).state, 'interruptible');
  });

  it('that begins during a transition has gone over', async () => {
    const registry = await lab();
    registry.task([F]);
    const patch = registry.attach('livepatch', F);
    const late = registry.task([F]);
    assert.deepEqual([late.patchState, late.stack[0]?.at], ['patched', patch.owned[0]]);
  });
});
