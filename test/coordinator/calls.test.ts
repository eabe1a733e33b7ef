/**
 * Goal: calls through the coordinator run in a thread with everything attached, and what they do to the kernel is done under text_mutex. Method: the
 * built-in kernel, judged by the rules of 6.1 where its deadly order of attaching is tried.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallAnswer, CallRequest, Coordinator } from '../../src/coordinator/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, realKernel } from '../support/kernels.ts';

const WHO = caller();
const F = 'bpf_modify_return_test';
const CALL: CallRequest = { function: F, args: ['0x1', { buffer: '02000000' }] };

async function answer(coordinator: Coordinator, request: CallRequest): Promise<CallAnswer> {
  const called = await coordinator.call(WHO, request);
  assert.ok(called.ok, called.ok ? '' : called.fault.detail);
  return called.value;
}

async function attach(coordinator: Coordinator, kind: 'fentry' | 'fexit' | 'livepatch' | 'kprobe'): Promise<string> {
  const attached = await coordinator.attach(WHO, { kind, target: F }, {});
  assert.ok(attached.ok, attached.ok ? '' : attached.fault.detail);
  return attached.value.id;
}

async function withCoordinator(coordinator: Coordinator, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } finally {
    await coordinator.close();
  }
}

describe('calls', () => {
  it('fires who is attached, in order, and no longer when they have left', async () => {
    const coordinator = testCoordinator(await builtinImage(), 'safe');
    await withCoordinator(coordinator, async () => {
      const fexit = await attach(coordinator, 'fexit');
      const probe = await attach(coordinator, 'kprobe');
      const called = await answer(coordinator, CALL);
      assert.equal(called.returnValue, '0x0000000000000004');
      assert.deepEqual(
        called.fired.map(({ attachment, returnValue }) => [attachment, returnValue]),
        [
          [probe, null],
          [fexit, '0x0000000000000004'],
        ],
      );
      assert.equal(called.buffers[0]?.bytes, '03000000');
      for (const id of [fexit, probe]) await coordinator.detach(WHO, id);
      assert.deepEqual((await answer(coordinator, CALL)).fired, []);
      const events = coordinator.eventsAfter(0, 1_000).filter(({ type }) => type === 'call');
      assert.deepEqual(events[0]?.data['fired'], [probe, fexit]);
    });
  });

  it('fills in missing arguments, takes places as arguments, shows faults and budgets as results', async () => {
    const coordinator = testCoordinator(await builtinImage(), 'safe');
    await withCoordinator(coordinator, async () => {
      const sampled = await answer(coordinator, { function: 'tcp_set_state', args: [], sample: true });
      assert.equal(sampled.ended, 'returned');
      const fault = await answer(coordinator, { function: 'strlen', args: ['0'] });
      assert.equal(fault.fault?.name, '#PF');
      assert.ok((fault.fault?.instructions.length ?? 0) > 0);
      const short = await answer(coordinator, { ...CALL, maxInstructions: 3, trace: 2 });
      assert.deepEqual([short.ended, short.exceeded, short.instructions], ['budget', 'instructions', 3]);
      assert.deepEqual(
        short.trace.map(({ place }) => place),
        [F, `${F}+0x4`],
      );
      const wrong = await coordinator.call(WHO, { function: F, args: ['two'] });
      assert.ok(!wrong.ok && wrong.fault.rule === 'call.argument.invalid');
      const symbol = await answer(coordinator, { function: 'strlen', args: [{ symbol: 'strlen' }] });
      assert.equal(symbol.ended, 'returned');
    });
  });

  const older = realKernel(RECORDED_6_1);
  it('brings about the death of ftrace that 6.1 has recorded', { skip: older.skip }, async () => {
    const coordinator = testCoordinator(await kernelImage(older.path), 'linux');
    await withCoordinator(coordinator, async () => {
      for (const kind of ['livepatch', 'fentry', 'fexit'] as const) await attach(coordinator, kind);
      const called = await answer(coordinator, CALL);
      assert.deepEqual(called.fired, []);
      assert.match(called.log.join(), /ftrace is shut down/);
      const dead = await coordinator.attach(WHO, { kind: 'ftrace', target: F }, {});
      assert.ok(!dead.ok && dead.fault.errno === 'ENODEV');
      const told = coordinator.eventsAfter(0, 1_000).find(({ data }) => data['ftrace'] === 'dead');
      assert.equal(told?.data['place'], F);
    });
  });
});
