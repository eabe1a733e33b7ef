/** What the fake coordinator answers to a call. */
import type { CallAnswer, CallRequest } from '../../src/coordinator/index.ts';

export const fakeCall = (request: CallRequest): CallAnswer => ({
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
