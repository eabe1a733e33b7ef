import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinImage } from '../../../test/support/images.ts';
import { RegistryLab } from '../../../test/support/registry-lab.ts';

const F = 'tcp_set_state';
const lab = async (): Promise<RegistryLab> => new RegistryLab(await builtinImage(), 'safe');

const images = ({ state }: RegistryLab): readonly number[] =>
  [...state.arena.allocations.values()].filter(({ what }) => what.startsWith('bpf_trampoline')).map(({ at }) => at);
const programs = ({ state }: RegistryLab): number =>
  [...state.arena.allocations.values()].filter(({ what }) => what === 'bpf_prog').length;
const stepsLeft = ({ state }: RegistryLab, at: number | undefined): readonly string[] | undefined =>
  at === undefined ? undefined : state.lingering.get(at)?.steps;

describe('a trampoline image that is let go', () => {
  it('goes at once when nobody is in the kernel, its programs too', async () => {
    const registry = await lab();
    for (const kind of ['fentry', 'fexit'] as const) {
      const { id } = registry.attach(kind, F);
      registry.task([F], { state: 'uninterruptible' });
      registry.moveTask([...registry.state.tasks.keys()].at(-1) ?? '', { stack: [] });
      const { warnings } = registry.detach(id);
      assert.deepEqual([images(registry), programs(registry), warnings], [[], 0, []], kind);
    }
  });

  it('waits, with fentry alone, until sleepable programs are left, and then until tasks have switched', async () => {
    const registry = await lab();
    const target = 'bpf_modify_return_test';
    const { id } = registry.attach('fentry', target, {});
    const program = registry.state.bpfProgs.get(id);
    assert.ok(program !== undefined);
    // No function of the built-in kernel takes sleepable programs.
    registry.change((txn) => void txn.bpfProgs.set(id, { ...program, isSleepable: true }));
    const sleeper = registry.task([`prog:${id}`], { state: 'uninterruptible' });
    const runner = registry.task([F], { state: 'running' });
    const [image] = images(registry);
    const { warnings } = registry.detach(id);
    assert.match(warnings[0] ?? '', /stays until task_\d+ has left it \(rcu_tasks_trace, then rcu_tasks\)/);
    assert.deepEqual(stepsLeft(registry, image), ['rcu_tasks_trace', 'rcu_tasks']);
    registry.moveTask(runner.id, { stack: [F], state: 'running' });
    assert.deepEqual(stepsLeft(registry, image), ['rcu_tasks_trace', 'rcu_tasks'], 'the other one is in the program');
    registry.endTask(sleeper.id);
    assert.deepEqual(stepsLeft(registry, image), ['rcu_tasks']);
    assert.equal(programs(registry), 0, 'the program waits for rcu_tasks_trace and rcu alone');
    const late = registry.task([F], { state: 'running' });
    registry.moveTask(runner.id, { state: 'interruptible' });
    assert.deepEqual(images(registry), [], 'who came later does not count');
    registry.endTask(late.id);
  });

  it('waits, when it calls the original, for the task that sleeps there; its programs are skipped and go before it', async () => {
    const registry = await lab();
    const { id } = registry.attach('fexit', F);
    const task = registry.task([F], { state: 'uninterruptible' });
    const [image = 0] = images(registry);
    const allocation = registry.state.arena.allocations.get(image);
    registry.detach(id);
    assert.deepEqual(stepsLeft(registry, image), ['percpu_ref', 'rcu_tasks']);
    assert.equal(programs(registry), 0);
    const jump = registry.state.lingering.get(image)?.jump;
    assert.ok(jump !== undefined && allocation !== undefined);
    assert.equal(registry.hex(jump.at, 1), 'e9', 'the NOP behind the call of the original is a jump');
    assert.equal(registry.callee(jump.at), jump.to);
    assert.deepEqual(registry.orphans(), []);
    assert.equal(registry.hex(registry.at(F, 4), 5), '0f1f440000', 'the site is as it was');
    // A new trampoline of the same function does not get the room.
    const again = registry.attach('fexit', F);
    assert.equal(images(registry).length, 2);
    registry.moveTask(task.id, { stack: [], state: 'running' });
    assert.equal(images(registry).length, 1);
    registry.detach(again.id);
    assert.deepEqual(images(registry), []);
  });

  it('is waited for by each call: one that returns and comes again is another', async () => {
    const registry = await lab();
    const { id } = registry.attach('fexit', F);
    const one = registry.task([F], { state: 'uninterruptible' });
    const two = registry.task(['vfs_read', F], { state: 'uninterruptible' });
    const [image] = images(registry);
    registry.detach(id);
    registry.moveTask(one.id, { stack: ['vfs_read'] });
    assert.deepEqual(stepsLeft(registry, image), ['percpu_ref', 'rcu_tasks']);
    registry.moveTask(one.id, { stack: [F] });
    registry.moveTask(two.id, { stack: [F] });
    assert.deepEqual(images(registry).length, 1, 'the outermost call of two is still the one through the image');
    registry.moveTask(two.id, { stack: [] });
    assert.deepEqual(images(registry), [], 'the call of one that was made since did not go through it');
  });

  it('is replaced by one with ORIG_STACK when IPMODIFY is there: EAGAIN, and once more', async () => {
    const registry = await lab();
    registry.attach('ftrace', F, { ipmodify: true });
    const { id } = registry.attach('fexit', F);
    const [trampoline] = [...registry.state.trampolines.values()];
    assert.equal(images(registry).length, 1, 'the first attempt was let go');
    assert.equal(trampoline?.image?.at, images(registry)[0]);
    // mov 0x8(%rbp),%rbx; call *%rbx: the original by its return address.
    const { at = 0, size = 0 } = trampoline?.image ?? {};
    assert.match(registry.hex(at, size), /488b5d08ffd3|488b5d08e8/);
    registry.detach(id);
    assert.deepEqual(images(registry), []);
  });
});
