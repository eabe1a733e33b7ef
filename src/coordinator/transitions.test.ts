/** Transitions as the service runs them: its worker, its events, what others are told meanwhile. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { ManualClock, seededPrng } from '../base/index.ts';
import { TRANSITION_RETRY_MS } from '../registry/index.ts';
import { createCoordinator } from './create-coordinator.ts';
import type { AttachmentView, Coordinator } from './service.ts';
import type { TaskRequest, TaskView } from './service-tasks.ts';

const F = 'tcp_set_state';
const ME = caller('me');
const OTHER = caller('other', { tenant: 'other' });

interface Bench {
  readonly coordinator: Coordinator;
  /** Lets this many attempts of the worker happen. */
  readonly pass: (attempts: number) => Promise<void>;
}

async function start(): Promise<Bench> {
  const clock = new ManualClock();
  const coordinator = createCoordinator({
    image: await builtinImage(),
    strictness: 'safe',
    clock,
    prng: seededPrng(1),
  });
  const pass = async (attempts: number): Promise<void> => {
    for (let i = 0; i < attempts; i++) {
      clock.advance(TRANSITION_RETRY_MS);
      // The attempt takes its turn at text_mutex; a command behind it has to wait for it.
      await coordinator.setSysctl(ME, 'debug.kprobes-optimization', 1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { coordinator, pass };
}

async function sleeper(coordinator: Coordinator, request: Partial<TaskRequest> = {}, who = ME): Promise<TaskView> {
  const task = await coordinator.newTask(who, { name: 'sleeper', kind: 'user', stack: [F], ...request });
  assert.ok(task.ok);
  return task.value;
}

async function patched(coordinator: Coordinator, who = ME): Promise<string> {
  const done = await coordinator.attach(who, { kind: 'livepatch', target: F, options: { patch: 'fix' } }, {});
  assert.ok(done.ok, done.ok ? '' : done.fault.detail);
  return done.value.id;
}

function shown(coordinator: Coordinator, id: string): NonNullable<AttachmentView['livepatch']> {
  const view = coordinator.attachment(id);
  assert.ok(view.ok && view.value.livepatch !== undefined);
  return view.value.livepatch;
}

const phases = (coordinator: Coordinator): readonly unknown[] =>
  coordinator.eventsAfter(0, 1000).flatMap(({ type, data }) => (type === 'transition' ? [data['phase']] : []));

describe('the worker of a transition', () => {
  it('tries once a second, and ends when the last task has gone over', async () => {
    const { coordinator, pass } = await start();
    const { id: task } = await sleeper(coordinator, { state: 'uninterruptible' });
    const id = await patched(coordinator);
    const { transition } = shown(coordinator, id);
    assert.deepEqual(
      [transition?.target, transition?.attempts, transition?.tasks, transition?.switched],
      ['patched', 1, 1, 0],
    );
    assert.deepEqual(transition?.waitsFor, [
      { task, name: 'sleeper', errno: 'EADDRINUSE', why: 'is sleeping on function tcp_set_state' },
    ]);
    await pass(3);
    assert.equal(shown(coordinator, id).transition?.attempts, 4);
    const moved = await coordinator.moveTask(ME, task, { stack: [] });
    assert.deepEqual(moved.ok && [moved.value.patchState, moved.value.patchPending], ['patched', false]);
    assert.ok(shown(coordinator, id).transition !== null, 'nobody has looked yet');
    await pass(1);
    assert.equal(shown(coordinator, id).transition, null);
    assert.deepEqual(phases(coordinator), ['started', 'completed']);
    await coordinator.close();
  });

  it('signals, and an interruptible task leaves', async () => {
    const { coordinator, pass } = await start();
    await sleeper(coordinator);
    const id = await patched(coordinator);
    await pass(16);
    assert.equal(shown(coordinator, id).transition, null);
    assert.deepEqual(phases(coordinator), ['started', 'signaled', 'completed']);
  });

  it('unpatches text when it ends, and tells who was replaced', async () => {
    const { coordinator, pass } = await start();
    const id = await patched(coordinator);
    const { id: task } = await sleeper(coordinator);
    const next = await coordinator.attach(
      ME,
      { kind: 'livepatch', target: 'vfs_read', options: { replace: true } },
      {},
    );
    assert.ok(next.ok && coordinator.attachment(id).ok);
    await coordinator.endTask(ME, task);
    await pass(1);
    assert.equal(coordinator.attachment(id).ok, false);
    const gone = coordinator.eventsAfter(0, 1000).filter(({ type }) => type === 'detached');
    assert.deepEqual(
      gone.map(({ data }) => [data['attachment'], data['replacedBy']]),
      [[id, next.value.id]],
    );
    assert.deepEqual(coordinator.audit().orphans, []);
    const left = await coordinator.detach(ME, next.value.id);
    assert.ok(left.ok);
    assert.equal(coordinator.audit().differing, 0);
  });

  it('stops when nobody needs it any more', async () => {
    const { coordinator, pass } = await start();
    await sleeper(coordinator);
    const id = await patched(coordinator);
    await coordinator.close();
    await pass(2);
    assert.equal(shown(coordinator, id).transition?.attempts, 1);
  });
});

describe('force', () => {
  it('ends a transition at the next attempt, and the code stays', async () => {
    const { coordinator, pass } = await start();
    const id = await patched(coordinator);
    await sleeper(coordinator, { kind: 'kthread' });
    assert.ok((await coordinator.setEnabled(ME, id, false)).ok);
    const foreign = await coordinator.force(OTHER, id);
    assert.equal(!foreign.ok && foreign.fault.rule, 'attachment.not-yours');
    const forced = await coordinator.force(ME, id);
    assert.deepEqual(forced.ok && [forced.value.livepatch?.forced, forced.value.livepatch?.transition?.switched], [
      true,
      1,
    ]);
    await pass(1);
    assert.equal(shown(coordinator, id).transition, null);
    const refused = await coordinator.detach(ME, id);
    assert.equal(!refused.ok && refused.fault.rule, 'livepatch.module.forced');
    assert.deepEqual(phases(coordinator), ['started', 'forced', 'completed']);
    assert.ok((await coordinator.reset(ME, true)).ok);
    assert.equal(coordinator.audit().differing, 0);
  });
});

describe('tasks', () => {
  it('belong to their tenant', async () => {
    const { coordinator } = await start();
    const { id } = await sleeper(coordinator);
    for (const done of [await coordinator.moveTask(OTHER, id, { stack: [] }), await coordinator.endTask(OTHER, id)])
      assert.equal(!done.ok && done.fault.rule, 'task.not-yours');
    assert.ok((await coordinator.endTask({ ...OTHER, isAdmin: true }, id)).ok);
  });

  it('are listed, and end with a reset of their tenant, which a transition then does not keep from its work', async () => {
    const { coordinator } = await start();
    await sleeper(coordinator);
    const foreign = await sleeper(coordinator, { stack: ['vfs_read'] }, OTHER);
    await patched(coordinator);
    assert.ok((await coordinator.reset(ME, false)).ok);
    const left = coordinator.tasks({ limit: 10 });
    assert.deepEqual(left.ok && left.value.items.map(({ id }) => id), [foreign.id]);
    assert.equal(coordinator.task(foreign.id).ok, true);
    assert.equal(coordinator.audit().differing, 0);
  });
});
