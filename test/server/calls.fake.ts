/** What the fake coordinator answers to a call. */
import { ok } from '../../src/base/index.ts';
import type { CallAnswer, Caller, CallRequest, Coordinator } from '../../src/coordinator/index.ts';

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
