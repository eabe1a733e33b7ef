/** Explorations of the fake coordinator: they run until they are asked for the second time, and then have found something. */
import { err, ok } from '../../src/base/index.ts';
import type { Caller, Coordinator, ExplorationView } from '../../src/coordinator/index.ts';

type Explorations = Pick<
  Coordinator,
  'newExploration' | 'explorations' | 'exploration' | 'explorationPicture' | 'deleteExploration'
>;

const TIME = '2026-01-01T00:00:00.000Z';
const PROGRESS = { states: 10, steps: 20, schedules: 3, depthMax: 0, elapsedMs: 5 } as const;
const SCHEDULE = 'A-0.1';
const RESULT = {
  outcome: 'violated',
  exhaustive: false,
  bound: null,
  detail: null,
  counterexample: {
    property: 'no-mix',
    detail: 'cc1f440000 at 0x1000 was never meant to be there',
    schedule: SCHEDULE,
    steps: 2,
    found: 'A-A-0.1',
    replay: `ktextd explore tiny.json --replay ${SCHEDULE}`,
  },
} as const;

const TRACE: ExplorationView['trace'] = {
  patchers: ['A'],
  cpus: ['0'],
  places: [{ name: 'f', address: '0x1000', length: 5 }],
  steps: [
    {
      actor: 'A',
      kind: 'run',
      what: 'stores int3 at 0x1000',
      cpus: [{ at: 'f', isPending: false, isStale: true }],
      bytes: [{ now: 'cc1f440000', stale: [['0f', '', '', '', '']] }],
    },
  ],
  violation: { property: 'no-mix', detail: 'a mix' },
};

export function fakeExplorations(callers: Caller[]): Explorations {
  const views = new Map<string, ExplorationView>();
  const unknown = (id: string) => err({ errno: 'ENOENT' as const, rule: 'exploration.unknown', detail: `No ${id}.` });
  return {
    newExploration(caller, { scenario, mutant = null, strategy, maxMs = 60_000, maxStates = 2_000_000, maxSteps }) {
      callers.push(caller);
      if (views.size >= 2) return err({ errno: 'EAGAIN', rule: 'quota.explorations', detail: 'Two run already.' });
      const id = `expl_${views.size + 1}`;
      const view: ExplorationView = {
        id,
        scenario: (scenario as { readonly name: string }).name,
        client: caller.client,
        since: TIME,
        state: 'running',
        mutant,
        strategy,
        budget: { maxMs, maxStates, maxSteps: maxSteps ?? null },
        progress: PROGRESS,
        result: null,
        trace: null,
      };
      views.set(id, view);
      return ok(view);
    },
    explorations: () => ok({ items: [...views.values()].map(({ trace: _, ...rest }) => rest), nextCursor: null }),
    exploration(id) {
      const view = views.get(id);
      if (view === undefined) return unknown(id);
      views.set(id, { ...view, state: 'done', result: RESULT, trace: TRACE });
      return ok(view);
    },
    explorationPicture: (id) => (views.has(id) ? ok('<svg xmlns="http://www.w3.org/2000/svg"/>\n') : unknown(id)),
    async deleteExploration(_caller, id) {
      const view = views.get(id);
      if (view === undefined) return unknown(id);
      views.delete(id);
      const { trace: _, ...rest } = view;
      return ok({ ...rest, state: 'deleted' });
    },
  };
}
