import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { ManualClock, seededPrng } from '../base/index.ts';
import { type Coordinator, createCoordinator } from './index.ts';
import { OPTIMIZE_DELAY_MS } from './kprobe-optimizer.ts';
import { OptimizerTimer } from './optimizer-timer.ts';

const PLACE = 'lab_opt+14';

/** Lets what a timer began come to its end. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function start(): Promise<{ readonly clock: ManualClock; readonly kernel: Coordinator }> {
  const clock = new ManualClock();
  const image = await builtinImage();
  return { clock, kernel: createCoordinator({ image, strictness: 'safe', clock, prng: seededPrng(1) }) };
}

const bytes = (kernel: Coordinator): string => {
  const text = kernel.text(PLACE, 1);
  assert.ok(text.ok);
  return text.value.bytes;
};

async function attach(kernel: Coordinator, options = {}): Promise<string> {
  const done = await kernel.attach(caller(), { kind: 'kprobe', target: PLACE, options }, {});
  assert.ok(done.ok);
  return done.value.id;
}

describe('the optimizer’s own time', () => {
  it('comes five jiffies after it was kicked, and is told', async () => {
    const { clock, kernel } = await start();
    const id = await attach(kernel);
    assert.equal(bytes(kernel), 'cc');
    clock.advance(OPTIMIZE_DELAY_MS - 1);
    await turn();
    assert.equal(bytes(kernel), 'cc');
    clock.advance(1);
    await turn();
    assert.equal(bytes(kernel), 'e9');
    const poke = kernel.eventsAfter(0, 100).at(-1);
    assert.deepEqual(
      [poke?.type, poke?.data['client'], poke?.data['attachment'], poke?.data['reason'], poke?.data['places']],
      ['poke', 'kprobe_optimizer', id, 'arch_optimize_kprobes', ['lab_opt+0xe']],
    );
    const history = kernel.siteHistory(PLACE, { limit: 10 });
    assert.ok(history.ok);
    assert.deepEqual(
      history.value.items.map(({ attachment, client, reason, after }) => [
        attachment,
        client,
        reason,
        after.slice(0, 2),
      ]),
      [
        [id, 'test', 'arch_arm_kprobe', 'cc'],
        [id, 'kprobe_optimizer', 'arch_optimize_kprobes', 'e9'],
      ],
    );
    assert.deepEqual(kernel.audit().orphans, []);
  });

  it('undoes what is left behind, and then does nothing more', async () => {
    const { clock, kernel } = await start();
    const id = await attach(kernel);
    await kernel.waitForKprobeOptimizer();
    const left = await kernel.detach(caller(), id);
    assert.ok(left.ok);
    assert.deepEqual([left.value.cost.pokes, left.value.restored], [0, []]);
    assert.equal(bytes(kernel), 'e9');
    clock.advance(OPTIMIZE_DELAY_MS);
    await turn();
    assert.equal(kernel.audit().differing, 0);
    const { last } = kernel.eventRange();
    clock.advance(1000);
    await turn();
    assert.equal(kernel.eventRange().last, last);
  });

  it('has taken the jump out when a detach that waits for it is answered', async () => {
    const { clock, kernel } = await start();
    const id = await attach(kernel);
    await kernel.waitForKprobeOptimizer();
    const leaving = kernel.detach(caller(), id, { untilUnoptimized: true });
    await turn();
    assert.equal(bytes(kernel), 'e9');
    clock.advance(OPTIMIZE_DELAY_MS);
    const left = await leaving;
    assert.ok(left.ok);
    assert.deepEqual([left.value.restored.length, kernel.audit().differing], [1, 0]);
    // Nothing to wait for: the probe is an int3 still, and the clock stands.
    const second = await attach(kernel);
    assert.ok((await kernel.detach(caller(), second, { untilUnoptimized: true })).ok);
  });

  it('is not waited for by a reset, and a stopped service owes nothing', async () => {
    const { kernel } = await start();
    await attach(kernel);
    await kernel.waitForKprobeOptimizer();
    assert.ok((await kernel.reset(caller(), false)).ok);
    assert.equal(kernel.audit().differing, 0);
    await attach(kernel);
    await kernel.close();
    assert.equal(bytes(kernel), 'e9');
    assert.deepEqual(kernel.audit().orphans, []);
  });

  it('is forecast by a plan, which costs what attaching does and this later', async () => {
    const { kernel } = await start();
    const attachOne = { attach: { kind: 'kprobe', target: PLACE } } as const;
    const plan = kernel.plan(caller(), [
      attachOne,
      { detach: 'plan:0' },
      { attach: { kind: 'kprobe', target: 'gcd' } },
    ]);
    assert.ok(plan.ok);
    assert.deepEqual(plan.value.steps[0]?.cost.later, { pokes: 1, batches: 1, syncRounds: 3 });
    assert.equal(plan.value.steps[1]?.cost.later, null);
    const id = await attach(kernel);
    await kernel.waitForKprobeOptimizer();
    const leaving = kernel.plan(caller(), [{ detach: id }]);
    assert.ok(leaving.ok);
    assert.deepEqual(leaving.value.steps[0]?.cost.later, { pokes: 3, batches: 0, syncRounds: 3 });
  });
});

describe('the optimizer’s timer', () => {
  const make = (): { readonly clock: ManualClock; readonly timer: OptimizerTimer; readonly runs: number[] } => {
    const clock = new ManualClock(0);
    const runs: number[] = [];
    const run = async (): Promise<boolean> => runs.push(clock.now()) > 1;
    const timer = new OptimizerTimer({ clock, delayMs: 20, isKicked: () => true, run });
    return { clock, timer, runs };
  };

  it('waits for a pause, but not for ever, and tries again what could not be', async () => {
    const { clock, timer, runs } = make();
    for (let ms = 0; ms < 600; ms += 10) {
      timer.poll();
      clock.advance(10);
      await turn();
      if (runs.length > 0) break;
    }
    assert.equal(runs.length, 1);
    assert.ok((runs[0] ?? 0) >= 500, `ran after ${runs[0]} ms`);
    clock.advance(20);
    await turn();
    assert.equal(runs.length, 2);
    clock.advance(1000);
    await turn();
    assert.equal(runs.length, 2);
  });

  it('does nothing once it is stopped', async () => {
    const { clock, timer, runs } = make();
    timer.poll();
    timer.stop();
    timer.poll();
    clock.advance(1000);
    await turn();
    assert.deepEqual(runs, []);
  });
});
