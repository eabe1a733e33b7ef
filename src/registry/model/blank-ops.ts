import { Set as ImmutableSet } from 'immutable';
import { OPS } from './flags.ts';
import type { FtraceOps } from './state.ts';

/** An ops that nobody has registered yet: INITIALIZED, and nothing else. `pointer` is the address of its struct ftrace_ops. */
export const blankOps = (id: string, pointer: bigint): FtraceOps => ({
  id,
  flags: OPS.INITIALIZED,
  func: { at: 0, symbol: '' },
  isFuncNull: false,
  pointer,
  position: undefined,
  filter: ImmutableSet<number>(),
  opsFunc: 'none',
  trampoline: undefined,
  trampolineSize: 0,
  directCall: undefined,
  attachment: undefined,
  bpfFunction: undefined,
  livepatchedFunction: undefined,
});
