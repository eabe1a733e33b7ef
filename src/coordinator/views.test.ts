import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller, testCoordinator } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import type { Coordinator } from './service.ts';

const F = 'tcp_set_state';
const ME = caller('me');
const FTRACE = 'kernel.ftrace_enabled';

const start = async (): Promise<Coordinator> => testCoordinator(await builtinImage(), 'safe');

async function attach(coordinator: Coordinator, kind: 'kprobe' | 'fentry' | 'livepatch'): Promise<string> {
  const answer = await coordinator.attach(ME, { kind, target: F }, {});
  assert.ok(answer.ok);
  return answer.value.id;
}

const current = (coordinator: Coordinator): string => {
  const site = coordinator.site(F);
  assert.ok(site.ok);
  return site.value.current;
};

describe('a sysctl', () => {
  it('is written under text_mutex, and everybody hears of it and of the pokes', async () => {
    const coordinator = await start();
    await attach(coordinator, 'kprobe');
    const before = coordinator.eventRange().last;
    const written = await coordinator.setSysctl(ME, FTRACE, 0);
    assert.deepEqual(written, { ok: true, value: { name: FTRACE, value: 0 } });
    assert.equal(coordinator.textMutex().acquisitions, 2);
    const events = coordinator
      .eventsAfter(before, 10)
      .map(({ type, data }) => [type, data['sysctl'] ?? data['reason']]);
    assert.deepEqual(events, [
      ['image', FTRACE],
      ['poke', 'ftrace_replace_code'],
    ]);
    const history = coordinator.siteHistory(F, { limit: 10 });
    assert.ok(history.ok);
    const last = history.value.items.find((poke) => poke.after === '0f1f440000');
    assert.deepEqual([last?.client, last?.attachment], ['me', null]);
    assert.equal(current(coordinator), '0f1f440000');
    assert.deepEqual(coordinator.audit().orphans, []);
  });

  it('is refused as Linux refuses, and the refusal is an event', async () => {
    const coordinator = await start();
    await attach(coordinator, 'livepatch');
    const before = coordinator.eventRange().last;
    const refused = await coordinator.setSysctl(ME, FTRACE, 0);
    assert.ok(!refused.ok);
    assert.deepEqual([refused.fault.errno, refused.fault.holders?.length], ['EBUSY', 1]);
    const [event] = coordinator.eventsAfter(before, 1);
    assert.deepEqual([event?.type, event?.data['rule']], ['rejected', 'sysctl.ftrace-enabled.permanent']);
    const read = coordinator.sysctl(FTRACE);
    assert.ok(read.ok && read.value.value === 1);
  });

  it('decides what a plan says of a livepatch, and not of others', async () => {
    const coordinator = await start();
    await coordinator.setSysctl(ME, FTRACE, 0);
    const plan = coordinator.plan(ME, [
      { attach: { kind: 'livepatch', target: F } },
      { attach: { kind: 'fentry', target: F } },
    ]);
    assert.ok(plan.ok);
    assert.deepEqual(
      plan.value.steps.map(({ verdict, rule }) => [verdict, rule]),
      [
        ['refused', 'ftrace.off.permanent'],
        ['attached', undefined],
      ],
    );
  });

  it('is as after a boot when everything was reset', async () => {
    const coordinator = await start();
    await attach(coordinator, 'fentry');
    await coordinator.setSysctl(ME, FTRACE, 0);
    await coordinator.setSysctl(ME, 'debug.kprobes-optimization', 0);
    assert.ok((await coordinator.reset(ME, true)).ok);
    for (const name of [FTRACE, 'debug.kprobes-optimization']) {
      const read = coordinator.sysctl(name);
      assert.ok(read.ok && read.value.value === 1, name);
    }
  });
});

describe('a listing', () => {
  it('is read from the present state', async () => {
    const coordinator = await start();
    assert.deepEqual(coordinator.kernelView('debug/kprobes/list'), { ok: true, value: '' });
    const id = await attach(coordinator, 'kprobe');
    const listed = coordinator.kernelView('debug/kprobes/list');
    assert.ok(listed.ok && /k {2}tcp_set_state\+0x4 {4}\[FTRACE\]\n$/.test(listed.value));
    await coordinator.detach(ME, id);
    assert.deepEqual(coordinator.kernelView('debug/kprobes/list'), { ok: true, value: '' });
    assert.equal(coordinator.kernelView('tracing/trace').ok, false);
  });
});
