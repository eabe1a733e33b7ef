import { Set as ImmutableSet } from 'immutable';
import { dataObject } from '../arena.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** sizeof(struct ftrace_ops), rounded up; only its address matters. */
const OPS_SIZE = 256;

/** An ops that nobody has registered yet; `fields` say what it is. */
export function newOps(txn: Txn, id: string, fields: Partial<FtraceOps>): FtraceOps {
  return txn.setOp({
    id,
    flags: OPS.INITIALIZED,
    func: { at: 0, symbol: '' },
    pointer: dataObject(txn, OPS_SIZE),
    position: undefined,
    filter: ImmutableSet<number>(),
    opsFunc: 'none',
    trampoline: undefined,
    trampolineSize: 0,
    directCall: undefined,
    attachment: undefined,
    bpfFunction: undefined,
    livepatchedFunction: undefined,
    ...fields,
  });
}
