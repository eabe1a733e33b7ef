/** What the fake coordinator answers to a call. */
import { err, ok } from '../../src/base/index.ts';
import type { CallAnswer, Caller, CallRequest, Coordinator, WorkloadView } from '../../src/coordinator/index.ts';

const fakeCall = (request: CallRequest): CallAnswer => ({
  function: request.function,
  ended: 'returned',
  returnValue: '0x0000000000000004',
  instructions: 7,
  fired: [],
  misses: [],
  registers: { rax: '0x0000000000000004' },
  log: [],
  buffers: [],
  fault: null,
  exceeded: null,
  trace: [],
});

export const fakeCalls = (callers: Caller[]): Pick<Coordinator, 'call' | 'callTotals'> => ({
  async call(caller, request) {
    callers.push(caller);
    return ok(fakeCall(request));
  },
  callTotals: () => ({
    calls: { returned: 3 },
    hits: { fentry: 2 },
    misses: [{ kind: 'kprobe', reason: 'recursion', count: 1 }],
  }),
});

/** Workloads of the fake coordinator: they have called once when they are stopped. */
export function fakeWorkloads(
  callers: Caller[],
): Pick<Coordinator, 'startWorkload' | 'workloads' | 'workload' | 'stopWorkload'> {
  const views = new Map<string, WorkloadView>();
  const unknown = (id: string) => err({ errno: 'ENOENT' as const, rule: 'workload.unknown', detail: `No ${id}.` });
  return {
    startWorkload(caller, { calls, cpus = 4, callsPerSecond = 100, seconds = 600, seed = 1 }) {
      callers.push(caller);
      if (views.size >= 2) return err({ errno: 'EAGAIN', rule: 'quota.workloads', detail: 'Two run already.' });
      const id = `wkl_${views.size + 1}`;
      const request = { cpus, callsPerSecond, seconds, seed };
      const counts = { started: 1, finished: 0, inFlight: 1, ended: {}, instructions: 0, hits: 0, misses: 0 };
      const view: WorkloadView = {
        id,
        client: caller.client,
        since: '2026-01-01T00:00:00.000Z',
        state: 'running',
        why: null,
        functions: calls.map((call) => call.function),
        ...request,
        ...counts,
        crossed: 0,
        pokeTraps: 0,
        changes: { live: 0, stopped: 0 },
        wrong: 0,
        firstWrong: null,
      };
      views.set(id, view);
      return ok(view);
    },
    workloads: () => ok({ items: [...views.values()], nextCursor: null }),
    workload(id) {
      const view = views.get(id);
      return view === undefined ? unknown(id) : ok(view);
    },
    async stopWorkload(_caller, id) {
      const view = views.get(id);
      if (view === undefined) return unknown(id);
      const stopped = {
        ...view,
        state: 'stopped' as const,
        why: 'stopped',
        inFlight: 0,
        finished: 1,
        ended: { returned: 1 },
      };
      views.set(id, stopped);
      return ok(stopped);
    },
  };
}
