/**
 * Goal: explorations of the service are the explorer's, in threads of their own, within budgets, few at once, and stopped by whoever may. Method: the
 * coordinator over the built-in kernel with the machine's clock, scenarios from examples/explorations.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng, systemClock } from '../../src/base/index.ts';
import {
  type Caller,
  type Coordinator,
  createCoordinator,
  type ExplorationRequest,
  type ExplorationView,
} from '../../src/coordinator/index.ts';
import { loadScenario } from '../explore/support.ts';
import { caller } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';

const WHO = caller();
const EXHAUSTIVE = { kind: 'exhaustive' } as const;
const POLL_MS = 20;

async function withCoordinator(body: (coordinator: Coordinator) => Promise<void>): Promise<void> {
  const image = await builtinImage();
  const coordinator = createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) });
  try {
    await body(coordinator);
  } finally {
    await coordinator.close();
  }
}

function begin(coordinator: Coordinator, request: ExplorationRequest, who: Caller = WHO): ExplorationView {
  const begun = coordinator.newExploration(who, request);
  assert.ok(begun.ok, begun.ok ? '' : begun.fault.detail);
  assert.equal(begun.value.state, 'running');
  return begun.value;
}

async function whenDone(coordinator: Coordinator, id: string): Promise<ExplorationView> {
  for (;;) {
    const view = coordinator.exploration(id);
    assert.ok(view.ok, view.ok ? '' : view.fault.detail);
    if (view.value.state === 'done') return view.value;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const explored = async (coordinator: Coordinator, request: ExplorationRequest): Promise<ExplorationView> =>
  whenDone(coordinator, begin(coordinator, request).id);

const eventsOf = (coordinator: Coordinator, id: string): readonly Readonly<Record<string, unknown>>[] =>
  coordinator
    .eventsAfter(0, 1_000)
    .filter(({ type, data }) => type === 'exploration' && data['exploration'] === id)
    .map(({ data }) => data);

describe('explorations', () => {
  it('finds a known bug, and its replay is what it says', async () => {
    await withCoordinator(async (coordinator) => {
      const scenario = loadScenario('int3-call');
      const found = await explored(coordinator, { scenario, mutant: 'no-sync-after-tail', strategy: EXHAUSTIVE });
      const { result } = found;
      assert.equal(result?.outcome, 'violated');
      assert.equal(result.exhaustive, false);
      const { schedule, steps, property, replay } = result.counterexample ?? assert.fail('no counterexample');
      assert.equal(property, 'no-mix');
      assert.equal(steps, schedule.split('-').length);
      assert.equal(found.trace?.steps.length, steps);
      assert.equal(replay, `ktextd explore int3-call.json --mutant no-sync-after-tail --replay ${schedule}`);
      const again = await explored(coordinator, {
        scenario,
        mutant: 'no-sync-after-tail',
        strategy: { kind: 'replay', schedule },
      });
      assert.equal(again.result?.counterexample?.detail, result.counterexample?.detail);
      assert.deepEqual(again.trace, found.trace);
      const picture = coordinator.explorationPicture(found.id);
      assert.match(picture.ok ? picture.value : '', /^<svg [\s\S]*no-mix: /);
      const events = eventsOf(coordinator, found.id);
      assert.deepEqual([events[0]?.['what'], events.at(-1)?.['what']], ['started', 'done']);
      assert.equal(events.at(-1)?.['property'], 'no-mix');
    });
  });

  it('holds for every schedule, with the same number of states as in a process of its own', async () => {
    await withCoordinator(async (coordinator) => {
      const { id, result, progress, trace } = await explored(coordinator, {
        scenario: loadScenario('int3-call'),
        strategy: EXHAUSTIVE,
      });
      assert.deepEqual([result?.outcome, result?.exhaustive, result?.counterexample], ['holds', true, null]);
      assert.equal(progress.states, 9915);
      assert.equal(trace, null);
      const picture = coordinator.explorationPicture(id);
      assert.equal(picture.ok ? 'drawn' : picture.fault.rule, 'exploration.no-trace');
    });
  });

  it('a schedule that the scenario does not allow is refused; what cannot be played has failed and says why', async () => {
    await withCoordinator(async (coordinator) => {
      const scenario = loadScenario('int3-call');
      const refused = await explored(coordinator, { scenario, strategy: { kind: 'replay', schedule: '0-0-0-0-0-0' } });
      assert.equal(refused.result?.outcome, 'refused');
      const text = scenario.text.map((each) => (each.name === 'f' ? { ...each, code: ['nop5', 'ffe0'] } : each));
      const failed = await explored(coordinator, { scenario: { ...scenario, text }, strategy: EXHAUSTIVE });
      assert.equal(failed.result?.outcome, 'failed');
      assert.match(failed.result.detail ?? '', /it goes to 0x0, where no text is/);
    });
  });

  it('keeps to its budget, and says which bound it reached', async () => {
    await withCoordinator(async (coordinator) => {
      const scenario = loadScenario('three-cpus-nmi');
      const bounds: readonly [Partial<ExplorationRequest>, string][] = [
        [{ maxStates: 1_000 }, 'states'],
        [{ maxSteps: 500 }, 'steps'],
        [{ maxMs: 1 }, 'ms'],
        [{ strategy: { kind: 'exhaustive', order: 'breadth', depthMax: 4 } }, 'depth'],
      ];
      for (const [budget, bound] of bounds) {
        const { result } = await explored(coordinator, { scenario, strategy: EXHAUSTIVE, ...budget });
        assert.deepEqual([result?.outcome, result?.bound, result?.exhaustive], ['bound', bound, false]);
      }
    });
  });

  it('runs two at once; deleting one stops it and makes room', async () => {
    await withCoordinator(async (coordinator) => {
      const request = { scenario: loadScenario('three-cpus-nmi'), strategy: EXHAUSTIVE };
      const first = begin(coordinator, request);
      const second = begin(coordinator, request);
      const third = coordinator.newExploration(WHO, request);
      assert.deepEqual(third.ok ? 'begun' : [third.fault.rule, third.fault.errno], ['quota.explorations', 'EAGAIN']);
      const stranger = await coordinator.deleteExploration(caller('other', { tenant: 'other' }), first.id);
      assert.equal(stranger.ok ? 'deleted' : stranger.fault.rule, 'exploration.not-yours');
      const deleted = await coordinator.deleteExploration(WHO, first.id);
      assert.equal(deleted.ok && deleted.value.state, 'deleted');
      const gone = coordinator.exploration(first.id);
      assert.equal(gone.ok ? 'there' : gone.fault.rule, 'exploration.unknown');
      const again = begin(coordinator, request);
      const listed = coordinator.explorations({ limit: 10 });
      assert.deepEqual(listed.ok && listed.value.items.map(({ id }) => id), [again.id, second.id]);
      const admin = caller('admin', { tenant: 'other', isAdmin: true });
      for (const { id } of [again, second]) assert.ok((await coordinator.deleteExploration(admin, id)).ok);
      assert.equal(eventsOf(coordinator, second.id).at(-1)?.['what'], 'deleted');
    });
  });

  it('what is no scenario is refused before anything runs', async () => {
    await withCoordinator(async (coordinator) => {
      const scenario = loadScenario('int3-call');
      const cases: readonly [Partial<ExplorationRequest>, RegExp][] = [
        [{ scenario: {} }, /name/],
        [{ scenario: { ...scenario, cpus: [{ run: 'g', times: 1 }] } }, /no text is called g/],
        [{ mutant: 'fantasy' }, /none of the known bugs/],
        [{ strategy: { kind: 'replay', schedule: 'Z-0' } }, /no schedule of int3-call/],
      ];
      for (const [change, message] of cases) {
        const refused = coordinator.newExploration(WHO, { scenario, strategy: EXHAUSTIVE, ...change });
        assert.equal(refused.ok ? 'begun' : refused.fault.rule, 'exploration.scenario.invalid');
        assert.match(refused.ok ? '' : refused.fault.detail, message);
      }
      const listed = coordinator.explorations({ limit: 10 });
      assert.deepEqual(listed.ok && listed.value.items, []);
    });
  });

  it('closing the service ends what runs', async () => {
    const begunUs = systemClock.monotonicUs();
    await withCoordinator(async (coordinator) => {
      begin(coordinator, { scenario: loadScenario('three-cpus-nmi'), strategy: EXHAUSTIVE });
    });
    assert.ok(systemClock.monotonicUs() - begunUs < 60_000_000);
  });
});
