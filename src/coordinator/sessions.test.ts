import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { ManualClock, type Result, seededPrng } from '../base/index.ts';
import { MemoryStore } from '../journal/index.ts';
import { createCoordinator } from './create-coordinator.ts';
import { openDurable } from './durable/open-durable.ts';
import type { Caller, Coordinator, SessionAnswer } from './service.ts';

const F = 'tcp_set_state';
const TTL_MS = 1_000;

async function start() {
  const clock = new ManualClock();
  const coordinator = createCoordinator({
    image: await builtinImage(),
    strictness: 'safe',
    clock,
    prng: seededPrng(1),
  });
  return { clock, coordinator };
}

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.fault.rule}: ${result.fault.detail}`);
  return result.value;
}

const open = async (coordinator: Coordinator, who = caller()): Promise<SessionAnswer> =>
  value(await coordinator.openSession(who, { ttlMs: TTL_MS }));

const within = ({ id }: SessionAnswer, who = caller()): Caller => ({ ...who, session: id });

const idsOf = (coordinator: Coordinator): readonly string[] =>
  value(coordinator.attachments({ limit: 100 })).items.map(({ id }) => id);

/** Lets what a timer began run to its end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

describe('a session', () => {
  it('takes what was attached in it along when it ends, newest first, and nothing else', async () => {
    const { coordinator } = await start();
    const session = await open(coordinator);
    const first = value(await coordinator.attach(within(session), { kind: 'fentry', target: F }, {}));
    const second = value(await coordinator.attach(within(session), { kind: 'kprobe', target: F }, {}));
    const other = value(await coordinator.attach(caller('other'), { kind: 'fentry', target: 'vfs_read' }, {}));
    const held = value(coordinator.attachment(first.id));
    assert.deepEqual([held.session, held.pinned], [session.session, false]);
    const heard: string[] = [];
    coordinator.onEvent(({ type, data }) => {
      if (type === 'detached') heard.push(String(data['attachment']));
    });
    const ended = value(await coordinator.endSession(caller(), session.id));
    assert.deepEqual(ended, { session: session.session, detached: 2, pinned: 0, remaining: 0 });
    assert.deepEqual(heard, [second.id, first.id]);
    assert.deepEqual(idsOf(coordinator), [other.id]);
    assert.equal((await coordinator.endSession(caller(), session.id)).ok, false);
  });

  it('ends when no heartbeat comes, and not before', async () => {
    const { clock, coordinator } = await start();
    const session = await open(coordinator);
    value(await coordinator.attach(within(session), { kind: 'fentry', target: F }, {}));
    for (let beat = 0; beat < 5; beat++) {
      clock.advance(TTL_MS - 1);
      await settle();
      assert.equal(idsOf(coordinator).length, 1);
      value(coordinator.heartbeat(caller(), session.id));
    }
    clock.advance(TTL_MS - 1);
    await settle();
    assert.equal(idsOf(coordinator).length, 1);
    const events: unknown[] = [];
    coordinator.onEvent(({ type, data }) => {
      if (type === 'session') events.push([data['what'], data['because'], data['detached']]);
    });
    clock.advance(2);
    await settle();
    assert.deepEqual(idsOf(coordinator), []);
    assert.deepEqual(events, [['ended', 'expired', 1]]);
    const late = coordinator.heartbeat(caller(), session.id);
    assert.ok(!late.ok && late.fault.rule === 'sessions.unknown');
    assert.equal(coordinator.audit().differing, 0);
  });

  it('leaves what is pinned, and the next session of its owner takes it over', async () => {
    const { coordinator } = await start();
    const first = await open(coordinator);
    const { id } = value(await coordinator.attach(within(first), { kind: 'fentry', target: F }, { pinned: true }));
    assert.equal(value(await coordinator.endSession(caller(), first.id)).pinned, 1);
    const left = value(coordinator.attachment(id));
    assert.deepEqual([left.session, left.pinned], [null, true]);
    const second = await open(coordinator);
    const taken = value(await coordinator.pin(within(second), id, false));
    assert.deepEqual([taken.session, taken.pinned], [second.session, false]);
    assert.equal(value(await coordinator.endSession(caller(), second.id)).detached, 1);
    assert.deepEqual(idsOf(coordinator), []);
  });

  it('is its tenant’s: another can neither name, end nor keep it, and its secret stands in no event', async () => {
    const { coordinator } = await start();
    const session = await open(coordinator);
    const stranger = caller('stranger', { tenant: 'stranger' });
    for (const refused of [
      await coordinator.attach({ ...stranger, session: session.id }, { kind: 'fentry', target: F }, {}),
      await coordinator.endSession(stranger, session.id),
      coordinator.heartbeat(stranger, session.id),
      coordinator.heartbeat(caller(), session.session),
    ])
      assert.ok(!refused.ok && refused.fault.rule === 'sessions.unknown');
    assert.ok(coordinator.refuseSession(stranger, session.id) !== undefined);
    assert.equal(coordinator.refuseSession(caller(), session.id), undefined);
    value(await coordinator.attach(within(session), { kind: 'fentry', target: F }, {}));
    const told = JSON.stringify([
      coordinator.eventsAfter(0, 1_000),
      coordinator.sessions({ limit: 10 }),
      coordinator.attachments({ limit: 10 }),
    ]);
    assert.ok(!told.includes(session.id));
    assert.ok(told.includes(session.session));
  });

  it('is not reset by another tenant’s reset', async () => {
    const { coordinator } = await start();
    const session = await open(coordinator);
    value(await coordinator.attach(within(session), { kind: 'fentry', target: F }, {}));
    value(await coordinator.reset(caller('stranger', { tenant: 'stranger' }), false));
    assert.equal(idsOf(coordinator).length, 1);
  });

  it('goes on ending while a livepatch of it cannot be detached', async () => {
    const { clock, coordinator } = await start();
    value(await coordinator.newTask(caller(), { name: 'sleeper', kind: 'kthread', stack: [F] }));
    const session = await open(coordinator);
    value(await coordinator.attach(within(session), { kind: 'livepatch', target: F }, {}));
    const ended = value(await coordinator.endSession(caller(), session.id));
    assert.deepEqual([ended.detached, ended.remaining], [0, 1]);
    const [task] = value(coordinator.tasks({ limit: 1 })).items;
    value(await coordinator.moveTask(caller(), task?.id ?? '', { stack: [] }));
    for (let second = 0; second < 6 && idsOf(coordinator).length > 0; second++) {
      clock.advance(1_000);
      await settle();
    }
    assert.deepEqual(idsOf(coordinator), []);
    assert.equal(value(coordinator.sessions({ limit: 10 })).items.length, 0);
  });

  it('survives a restart with its whole time to live, and what it holds with it', async () => {
    const store = new MemoryStore();
    const options = async (clock: ManualClock) => ({
      image: await builtinImage(),
      strictness: 'safe' as const,
      clock,
      prng: seededPrng(1),
      version: 'test',
    });
    const before = await openDurable({ ...(await options(new ManualClock())), store });
    const { coordinator } = value(before);
    const keyed = { ...caller(), idempotency: { scope: 'default\nkey', hash: 'aa' } };
    const session = await open(coordinator, keyed);
    value(await coordinator.attach(within(session), { kind: 'fentry', target: F }, {}));
    assert.ok(
      !JSON.stringify(store.commits.map(({ puts }) => puts.map((put) => Buffer.from(put.value).toString()))).includes(
        session.id,
      ),
    );
    for (const isClean of [false, true]) {
      if (isClean) await coordinator.close();
      const clock = new ManualClock();
      const again = value(await openDurable({ ...(await options(clock)), store: new MemoryStore(store.commits) }));
      assert.deepEqual(again.coordinator.recoveredAnswers(), []);
      clock.advance(TTL_MS - 1);
      await settle();
      value(again.coordinator.heartbeat(caller(), session.id));
      clock.advance(TTL_MS + 1);
      await settle();
      assert.deepEqual(idsOf(again.coordinator), []);
    }
  });
});
