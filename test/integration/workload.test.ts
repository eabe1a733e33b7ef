/**
 * Goal: over HTTP, a background of calls loses none and fires nobody wrong while clients attach and detach. Method: the built-in kernel, several
 * clients that come and go, a workload on 8 CPUs that compares every call with what it does alone; its counters arrive at the attachments.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import { type Coordinator, createCoordinator } from '../../src/coordinator/index.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';

const F = 'bpf_modify_return_test';
const MIX = [
  { function: F, args: ['0x1', { buffer: '02000000' }] },
  { function: 'strlen', args: [{ buffer: '68656c6c6f00' }] },
  { function: 'tcp_set_state', args: [], sample: true },
];
const KINDS = ['fentry', 'fexit', 'kprobe', 'kretprobe', 'ftrace'] as const;
const CLIENTS = 3;
const ROUNDS = 6;
const WAIT_MS = 20_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

describe('a workload in the service', () => {
  let coordinator: Coordinator;
  before(async () => {
    const image = await builtinImage();
    coordinator = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(7) });
  });
  after(() => coordinator.close());

  /** Waits until something is true; calls are made in the meantime. */
  async function until(what: string, isTrue: () => boolean): Promise<void> {
    const end = systemClock.monotonicUs() + WAIT_MS * 1000;
    while (!isTrue()) {
      assert.ok(systemClock.monotonicUs() < end, `${what} did not come in ${WAIT_MS} ms`);
      await pause(20);
    }
  }

  const hitsOf = (id: string): number => {
    const found = coordinator.attachment(id);
    return found.ok ? found.value.counters.hits : 0;
  };

  it('loses no call and fires nobody wrong while clients come and go; counters arrive', async (t) => {
    const started = coordinator.startWorkload(caller('load'), { calls: MIX, cpus: 8, callsPerSecond: 1_000 });
    assert.ok(started.ok);
    const { id } = started.value;
    const client = async (number: number): Promise<void> => {
      const who = caller(`client-${number}`);
      for (let round = 0; round < ROUNDS; round++) {
        const kind = KINDS[(number + round) % KINDS.length] ?? 'fentry';
        const attached = await coordinator.attach(who, { kind, target: F, options: {} }, {});
        assert.ok(attached.ok);
        await until(`a hit of ${kind}`, () => hitsOf(attached.value.id) > 0);
        assert.ok((await coordinator.detach(who, attached.value.id)).ok);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    const stopped = await coordinator.stopWorkload(caller('load'), id);
    assert.ok(stopped.ok);
    const view = stopped.value;
    t.diagnostic(JSON.stringify(view));
    assert.deepEqual([view.state, view.why, view.inFlight], ['stopped', 'stopped', 0]);
    assert.equal(view.started, view.finished);
    assert.deepEqual([view.wrong, view.firstWrong], [0, null]);
    assert.equal(view.ended['returned'], view.finished);
    assert.ok(view.changes.live + view.changes.stopped >= ROUNDS, JSON.stringify(view.changes));
    assert.equal(coordinator.audit().differing, 0);
    const events = coordinator.eventsAfter(0, 10_000).filter(({ type }) => type === 'workload');
    assert.deepEqual(
      events.map(({ data }) => data['what']),
      ['started', 'stopped'],
    );
    assert.ok((coordinator.callTotals().hits['fentry'] ?? 0) > 0);
  });

  it('is bounded: at most two run, each ends when its time is up, and another tenant does not stop it', async () => {
    const begin = () => coordinator.startWorkload(caller('load'), { calls: MIX.slice(1, 2), cpus: 1, seconds: 1 });
    const [first, second, third] = [begin(), begin(), begin()];
    assert.ok(first.ok && second.ok && !third.ok);
    assert.equal(third.fault.rule, 'quota.workloads');
    const foreign = await coordinator.stopWorkload(caller('other', { tenant: 'other' }), first.value.id);
    assert.ok(!foreign.ok && foreign.fault.rule === 'workload.not-yours');
    for (const { value } of [first, second])
      await until('its end', () => {
        const view = coordinator.workload(value.id);
        return view.ok && view.value.state === 'stopped' && view.value.why === 'time';
      });
    const unknown = coordinator.workload('wkl_none');
    assert.ok(!unknown.ok && unknown.fault.rule === 'workload.unknown');
  });
});
