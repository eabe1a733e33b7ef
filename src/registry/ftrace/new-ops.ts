import { dataObject } from '../arena.ts';
import { blankOps } from '../model/blank-ops.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** sizeof(struct ftrace_ops), rounded up; only its address matters. */
const OPS_SIZE = 256;

/** An ops that nobody has registered yet; `fields` say what it is. */
export const newOps = (txn: Txn, id: string, fields: Partial<FtraceOps>): FtraceOps =>
  txn.setOp({ ...blankOps(id, dataObject(txn, OPS_SIZE)), ...fields });
