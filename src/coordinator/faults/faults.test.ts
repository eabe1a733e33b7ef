/** Each fault by name at the coordinator, with a clock that is moved by hand and a journal in memory. Rollback itself: test/coordinator/rollback.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../../test/support/coordinators.ts';
import { builtinImage } from '../../../test/support/images.ts';
import { ManualClock, seededPrng } from '../../base/index.ts';
import { MemoryStore } from '../../journal/index.ts';
import { createCoordinator } from '../create-coordinator.ts';
import { openDurable } from '../durable/open-durable.ts';
import type { Coordinator } from '../service.ts';
import type { FaultRequest, FaultView } from '../service-faults.ts';
import { FAULTS_MAX, FaultBook } from './fault-book.ts';
import { faultyClock } from './faulty.ts';
import { FAULT_RULES } from './rules.ts';

const F = 'tcp_set_state';
const ME = caller('me');
const OTHER = caller('other');
const ADMIN = caller('admin', { isAdmin: true });

/** Lets what is ready come to its end. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

interface Lab {
  readonly coordinator: Coordinator;
  readonly clock: ManualClock;
  readonly store: MemoryStore;
  readonly crashed: FaultView[];
}

async function lab(how: 'durable' | 'memory' = 'memory'): Promise<Lab> {
  const clock = new ManualClock();
  const store = new MemoryStore();
  const crashed: FaultView[] = [];
  const crash = (fault: FaultView): never => {
    crashed.push(fault);
    throw new Error('the process ends here');
  };
  const faults = new FaultBook({ clock, prng: seededPrng(2), crash });
  const kernel = {
    image: await builtinImage(),
    strictness: 'safe' as const,
    clock: faultyClock(clock, faults),
    prng: seededPrng(1),
    faults,
  };
  if (how === 'memory') return { coordinator: createCoordinator(kernel), clock, store, crashed };
  const opened = await openDurable({ ...kernel, store, version: 'test' });
  assert.ok(opened.ok);
  return { coordinator: opened.value.coordinator, clock, store, crashed };
}

function arm(coordinator: Coordinator, request: FaultRequest): FaultView {
  const armed = coordinator.injectFault(ADMIN, request);
  assert.ok(armed.ok, armed.ok ? '' : armed.fault.detail);
  return armed.value;
}

function listed(coordinator: Coordinator): readonly FaultView[] {
  const page = coordinator.faults({ limit: 1000 });
  assert.ok(page.ok);
  return page.value.items;
}

const attach = (coordinator: Coordinator, target: string, who = ME) =>
  coordinator.attach(who, { kind: 'fentry', target }, {});
const ruleOf = (answer: { readonly ok: boolean; readonly fault?: { readonly rule: string } }) => answer.fault?.rule;

describe('refusals about faults', () => {
  const refused = (coordinator: Coordinator, request: FaultRequest) => ruleOf(coordinator.injectFault(ADMIN, request));
  const cases: Readonly<
    Record<string, (coordinator: Coordinator) => string | undefined | Promise<string | undefined>>
  > = {
    'fault.name': (coordinator) => refused(coordinator, { name: 'dropped-ipis' }),
    'fault.options': (coordinator) => refused(coordinator, { name: 'dropped-ipi', ms: 5 }),
    'fault.no-journal': (coordinator) => refused(coordinator, { name: 'journal-full' }),
    'fault.unknown': (coordinator) => ruleOf(coordinator.removeFault('flt_none')),
    'fault.too-many': (coordinator) => {
      for (let i = 0; i < FAULTS_MAX; i++) arm(coordinator, { name: 'dropped-ipi' });
      return refused(coordinator, { name: 'dropped-ipi' });
    },
    'fault.dropped-ipi': async (coordinator) => {
      arm(coordinator, { name: 'dropped-ipi' });
      return ruleOf(await attach(coordinator, F));
    },
    'fault.crash-between-phases': async (coordinator) => {
      arm(coordinator, { name: 'crash-between-phases', phase: 4 });
      return ruleOf(await attach(coordinator, F));
    },
  };
  for (const [id, refuse] of Object.entries(cases))
    it(id, async () => {
      const { coordinator } = await lab();
      assert.equal(await refuse(coordinator), id);
      assert.ok(coordinator.rule(id) !== undefined);
      assert.equal(coordinator.audit().differing, 0);
      assert.equal(coordinator.textMutex().holder, null);
    });

  it('are all of its rules', () => {
    // A service without the flag is in coordinator.test.ts.
    const rules = FAULT_RULES.map(({ id }) => id).filter((id) => id !== 'fault.not-enabled');
    assert.deepEqual(Object.keys(cases).sort(), rules.sort());
  });

  it('name what is wrong with the options', async () => {
    const { coordinator } = await lab();
    const detail = (request: FaultRequest): string => {
      const armed = coordinator.injectFault(ADMIN, request);
      assert.ok(!armed.ok);
      return armed.fault.detail;
    };
    assert.match(detail({ name: 'delayed-sync' }), /needs ms/);
    assert.match(detail({ name: 'delayed-sync', ms: -5 }), /1 to 600000 ms/);
    assert.match(detail({ name: 'clock-jump', ms: 0 }), /0 ms/);
    assert.match(detail({ name: 'clock-jump', ms: 5, times: 2 }), /not times/);
    assert.match(detail({ name: 'crash-between-phases' }), /needs phase/);
    assert.match(detail({ name: 'dropped-ipi', command: 'atach' }), /atach is no command/);
    assert.match(detail({ name: 'dropped-ipi', place: 'no_such' }), /no_such/);
    assert.deepEqual(listed(coordinator), []);
  });
});

describe('a fault', () => {
  it('happens as often as it should, when it should, and to whom', async () => {
    const { coordinator } = await lab();
    const { id } = arm(coordinator, { name: 'dropped-ipi', times: 2, after: 2, command: 'attach', client: 'me' });
    assert.ok((await attach(coordinator, 'vfs_read', OTHER)).ok, 'another client');
    // The shared callers are calls already, so that three sync rounds are left: the third and, next time, the first.
    assert.equal(ruleOf(await attach(coordinator, F)), 'fault.dropped-ipi');
    assert.equal(ruleOf(await attach(coordinator, F)), 'fault.dropped-ipi');
    const attached = await attach(coordinator, F);
    assert.ok(attached.ok, 'it is over');
    assert.deepEqual(
      listed(coordinator).map(({ id, seen, fired, remaining }) => [id, seen, fired, remaining]),
      [[id, 4, 2, 0]],
    );
    assert.deepEqual(coordinator.faultTotals(), { 'dropped-ipi': 2 });
    assert.ok((await coordinator.detach(ME, attached.value.id)).ok, 'another command');
  });

  it('happens where a place is poked, and nowhere else', async () => {
    const { coordinator } = await lab();
    arm(coordinator, { name: 'dropped-ipi', place: 'vfs_read' });
    assert.ok((await attach(coordinator, F)).ok);
    const refused = await coordinator.attach(ME, { kind: 'ftrace', target: { pattern: '*' } }, {});
    assert.ok(!refused.ok);
    assert.match(refused.fault.place ?? '', /^vfs_read/);
  });

  it('that is over makes room for another', async () => {
    const { coordinator } = await lab();
    for (let i = 0; i < FAULTS_MAX; i++) arm(coordinator, { name: 'dropped-ipi' });
    assert.equal(ruleOf(await attach(coordinator, F)), 'fault.dropped-ipi');
    arm(coordinator, { name: 'dropped-ipi' });
    assert.equal(listed(coordinator).length, FAULTS_MAX);
  });

  it('is told of when it is armed, happens and is removed', async () => {
    const { coordinator } = await lab();
    const told: string[] = [];
    const stop = coordinator.onFault((what, { name }) => told.push(`${what} ${name}`));
    const { id } = arm(coordinator, { name: 'dropped-ipi', times: 5 });
    await attach(coordinator, F);
    assert.ok(coordinator.removeFault(id).ok);
    stop();
    assert.ok((await attach(coordinator, F)).ok, 'it was removed');
    assert.deepEqual(told, ['armed dropped-ipi', 'fired dropped-ipi', 'removed dropped-ipi']);
  });
});

describe('delayed-sync', () => {
  it('holds text_mutex for as long, others wait, and a deadline is kept', async () => {
    const { coordinator, clock } = await lab();
    arm(coordinator, { name: 'delayed-sync', ms: 100, times: 2 });
    const slow = attach(coordinator, F);
    const patient = attach(coordinator, 'vfs_read', OTHER);
    const hasty = coordinator.attach({ ...OTHER, deadlineMs: 150 }, { kind: 'kprobe', target: 'schedule' }, {});
    await settle();
    assert.deepEqual(
      [coordinator.textMutex().holder, coordinator.textMutex().waiting.length],
      ['me: attach fentry', 2],
    );
    clock.advance(100);
    await settle();
    assert.equal(coordinator.textMutex().holder, 'me: attach fentry', 'two rounds are late');
    clock.advance(100);
    const done = await slow;
    assert.ok(done.ok);
    assert.equal(done.value.cost.textMutexHeldUs, 200_000);
    assert.ok((await patient).ok);
    assert.equal(ruleOf(await hasty), 'text-mutex.deadline');
    assert.equal(coordinator.textMutex().holdMs.p99, 200);
  });

  it('ends when it is removed', async () => {
    const { coordinator } = await lab();
    const { id } = arm(coordinator, { name: 'delayed-sync', ms: 600_000 });
    const slow = attach(coordinator, F);
    await settle();
    assert.ok(coordinator.removeFault(id).ok);
    assert.ok((await slow).ok);
  });
});

/** What a process finds that starts behind a crash. */
async function reopened(store: MemoryStore): Promise<Coordinator> {
  const again = await openDurable({
    image: await builtinImage(),
    strictness: 'safe',
    clock: new ManualClock(),
    prng: seededPrng(3),
    store: new MemoryStore(store.commits),
    version: 'test',
  });
  assert.ok(again.ok);
  return again.value.coordinator;
}

describe('crash-between-phases', () => {
  it('ends the process in mode exit, and what was acknowledged is there again, all else is not', async () => {
    const { coordinator, store, crashed } = await lab('durable');
    const kept = await attach(coordinator, F);
    assert.ok(kept.ok);
    const { id } = arm(coordinator, { name: 'crash-between-phases', phase: 5, mode: 'exit' });
    await assert.rejects(attach(coordinator, 'vfs_read'), /the process ends here/);
    assert.deepEqual(
      crashed.map((fault) => fault.id),
      [id],
    );
    const again = await reopened(store);
    const { orphans } = again.audit();
    const attachments = again.attachments({ limit: 10 });
    assert.deepEqual(orphans, []);
    assert.deepEqual(attachments.ok && attachments.value.items.map((each) => each.id), [kept.value.id]);
  });

  it('leaves a journal that leads to the same text and events', async () => {
    const { coordinator, store } = await lab('durable');
    arm(coordinator, { name: 'crash-between-phases', phase: 7, times: 3 });
    for (let i = 0; i < 3; i++) assert.equal(ruleOf(await attach(coordinator, F)), 'fault.crash-between-phases');
    assert.ok((await attach(coordinator, F)).ok);
    await settle();
    const again = await reopened(store);
    const seen = ({ eventsAfter, siteHistory, text, audit }: Coordinator) =>
      JSON.stringify([eventsAfter(0, 100), siteHistory(F, { limit: 9 }), text(F, 32), audit().orphans]);
    assert.equal(seen(again), seen(coordinator));
  });
});

describe('the journal', () => {
  it('stalls: the answer waits for the flush, text_mutex does not', async () => {
    const { coordinator, clock } = await lab('durable');
    arm(coordinator, { name: 'journal-stall', ms: 1_000 });
    let answered = false;
    const done = attach(coordinator, F).finally(() => {
      answered = true;
    });
    await settle();
    assert.deepEqual([answered, coordinator.textMutex().holder], [false, null]);
    clock.advance(999);
    await settle();
    assert.equal(answered, false);
    clock.advance(1);
    assert.ok((await done).ok);
  });

  it('is full: changes are refused, reads go on, and it goes on by itself when there is room', async () => {
    const { coordinator, clock } = await lab('durable');
    arm(coordinator, { name: 'journal-full', times: 2 });
    assert.equal(ruleOf(await attach(coordinator, F)), 'journal.disk-full');
    assert.equal(ruleOf(await attach(coordinator, 'vfs_read')), 'journal.disk-full');
    assert.ok(coordinator.text(F, 16).ok);
    clock.advance(500);
    await settle();
    clock.advance(500);
    await settle();
    assert.ok((await attach(coordinator, 'vfs_read')).ok);
    assert.deepEqual(coordinator.audit().orphans, []);
  });

  it('closes while it stalls', async () => {
    const { coordinator } = await lab('durable');
    arm(coordinator, { name: 'journal-stall', ms: 600_000 });
    const done = attach(coordinator, F);
    await settle();
    await coordinator.close();
    assert.ok((await done).ok);
  });
});

describe('clock-jump', () => {
  const HOUR = 3_600_000;
  for (const ms of [HOUR, -HOUR])
    it(`of ${ms} ms ends no session early and none late, and no deadline`, async () => {
      const { coordinator, clock } = await lab();
      const opened = await coordinator.openSession(ME, { ttlMs: 10_000 });
      assert.ok(opened.ok);
      const who = { ...ME, session: opened.value.id };
      const attached = await attach(coordinator, F, who);
      assert.ok(attached.ok);
      clock.advance(6_000);
      const before = Date.parse(attached.value.sequence > 0 ? (coordinator.eventsAfter(0, 1)[0]?.time ?? '') : '');
      const { id } = arm(coordinator, { name: 'clock-jump', ms });
      await settle();
      assert.ok(coordinator.attachment(attached.value.id).ok, 'its time is not over');
      const slow = arm(coordinator, { name: 'delayed-sync', ms: 100 });
      const holding = attach(coordinator, 'vfs_read', OTHER);
      const waiting = coordinator.attach({ ...ME, deadlineMs: 500 }, { kind: 'kprobe', target: 'schedule' }, {});
      await settle();
      clock.advance(100);
      assert.ok((await holding).ok && (await waiting).ok, 'a deadline of 500 ms has not passed after 100');
      assert.equal(slow.name, 'delayed-sync');
      const jumped = Date.parse(coordinator.eventsAfter(0, 100).at(-1)?.time ?? '');
      assert.equal(jumped - before, 6_100 + ms, 'events have the time that the clock shows');
      clock.advance(4_000);
      await settle();
      assert.equal(ruleOf(coordinator.attachment(attached.value.id)), 'attachment.unknown', 'now it is');
      assert.ok(coordinator.removeFault(id).ok);
      const last = await attach(coordinator, F);
      assert.ok(last.ok);
      assert.equal(Date.parse(coordinator.eventsAfter(last.value.sequence - 1, 1)[0]?.time ?? '') - before, 10_100);
    });
});
