/**
 * Goal: every owner that would have run in a call and did not is counted as missed, with the reason, and whoever ran as hit; the kernel's own listing says
 * the same. Method: calls of the built-in kernel, one situation for each reason.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { AttachRequest, CallRequest, Coordinator } from '../../src/coordinator/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';

const WHO = caller('root', { isAdmin: true });
const F = 'bpf_modify_return_test';
const CALL: CallRequest = { function: F, args: ['0x1', { buffer: '02000000' }] };

describe('counters of attachments', () => {
  let coordinator: Coordinator;
  before(async () => {
    coordinator = testCoordinator(await builtinImage(), 'linux');
  });
  after(() => coordinator.close());

  async function attach(request: AttachRequest): Promise<string> {
    const attached = await coordinator.attach(WHO, request, {});
    assert.ok(attached.ok, attached.ok ? '' : attached.fault.detail);
    return attached.value.id;
  }
  async function call(times: number, request: CallRequest = CALL): Promise<void> {
    for (let i = 0; i < times; i++) {
      const called = await coordinator.call(WHO, request);
      assert.ok(called.ok && called.value.ended === 'returned');
    }
  }
  function counters(id: string) {
    const found = coordinator.attachment(id);
    assert.ok(found.ok);
    return found.value.counters;
  }
  async function detach(...ids: readonly string[]): Promise<void> {
    for (const id of ids) assert.ok((await coordinator.detach(WHO, id)).ok);
  }

  it('hits, and what they cost in instructions', async () => {
    const fentry = await attach({ kind: 'fentry', target: F });
    await call(3);
    const { hits, instructions, misses } = counters(fentry);
    assert.deepEqual([hits, misses], [3, {}]);
    assert.ok(instructions >= 3 * 3, `${instructions}`);
    await detach(fentry);
    const again = await attach({ kind: 'fentry', target: F });
    assert.equal(counters(again).hits, 0);
    await detach(again);
  });

  it('bypassed by a livepatch', async () => {
    const body = await attach({ kind: 'kprobe', target: `${F}+9` });
    const patch = await attach({ kind: 'livepatch', target: F });
    await call(2);
    assert.deepEqual(counters(body), { hits: 0, instructions: 0, misses: { 'bypassed by livepatch': 2 } });
    assert.equal(counters(patch).hits, 2);
    await coordinator.setEnabled(WHO, patch, false);
    await detach(patch, body);
  });

  it('ftrace is disabled: nobody runs, everybody is counted, and counting ends with the switch', async () => {
    const fexit = await attach({ kind: 'fexit', target: F });
    const probe = await attach({ kind: 'kprobe', target: F });
    const disabled = await attach({ kind: 'kprobe', target: F });
    await coordinator.setEnabled(WHO, disabled, false);
    const before = await coordinator.call(WHO, CALL);
    assert.ok((await coordinator.setSysctl(WHO, 'kernel.ftrace_enabled', 0)).ok);
    const silent = await coordinator.call(WHO, CALL);
    assert.ok(silent.ok && before.ok);
    assert.deepEqual(silent.value.fired, []);
    assert.deepEqual(
      silent.value.misses.map(({ attachment, reason }) => [attachment, reason]),
      [
        [probe, 'ftrace is disabled'],
        [fexit, 'ftrace is disabled'],
      ],
    );
    assert.equal(silent.value.returnValue, before.value.returnValue);
    assert.deepEqual(counters(probe), { hits: 1, instructions: 0, misses: { 'ftrace is disabled': 1 } });
    assert.ok((await coordinator.setSysctl(WHO, 'kernel.ftrace_enabled', 1)).ok);
    await call(1);
    assert.deepEqual([counters(fexit).hits, counters(fexit).misses], [2, { 'ftrace is disabled': 1 }]);
    await detach(fexit, probe, disabled);
  });

  it('pristine instructions are counted alike while ftrace is disabled', async () => {
    const pristine = await coordinator.call(WHO, CALL);
    const probe = await attach({ kind: 'kprobe', target: F });
    await coordinator.setSysctl(WHO, 'kernel.ftrace_enabled', 0);
    const silent = await coordinator.call(WHO, CALL);
    assert.ok(pristine.ok && silent.ok);
    assert.equal(silent.value.instructions, pristine.value.instructions);
    await coordinator.setSysctl(WHO, 'kernel.ftrace_enabled', 1);
    await detach(probe);
  });

  it('tracing/kprobe_profile has the probes of tracefs, as the kernel prints them', async () => {
    const options = { via: 'tracefs' };
    const first = await attach({ kind: 'kprobe', target: 'tcp_set_state', options });
    const second = await attach({ kind: 'kretprobe', target: F, options });
    const other = await attach({ kind: 'kprobe', target: F });
    await call(2);
    const view = coordinator.kernelView('tracing/kprobe_profile');
    assert.deepEqual(view.ok && view.value.split('\n'), [
      '  p_tcp_set_state_0                                          0               0',
      `  r_${F}_0                                 2               0`,
      '',
    ]);
    await detach(first, second, other);
    const empty = coordinator.kernelView('tracing/kprobe_profile');
    assert.equal(empty.ok && empty.value, '');
  });

  it('totals stay when attachments have left', () => {
    const { calls, hits, misses } = coordinator.callTotals();
    assert.ok((calls['returned'] ?? 0) >= 12);
    assert.ok((hits['fentry'] ?? 0) >= 3);
    assert.ok(misses.some(({ kind, reason }) => kind === 'fexit' && reason === 'ftrace is disabled'));
  });
});
