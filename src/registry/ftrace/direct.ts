/**
 * Direct calls: the site calls somebody's own trampoline.
 * Source: kernel/trace/ftrace.c register_ftrace_direct, unregister_ftrace_direct, __modify_ftrace_direct (6.12).
 */
import type { Fault } from '../../base/index.ts';
import { DIRECT_MEETS_IPMODIFY, MODIFY_DIRECT } from '../kernels/ftrace-facts.ts';
import { blankOps } from '../model/blank-ops.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import { directHolders } from '../owners/holders.ts';
import { FTRACE_DIRECT_EXCLUSIVE, FTRACE_IPMODIFY_EMPTY_FILTER } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { symbolsOf } from './callers.ts';
import { updateIpmodify } from './ipmodify.ts';
import { ftraceUsable, startup, unregisterFtraceFunction } from './ops.ts';
import { isEnabled } from './ops-list.ts';

export function registerFtraceDirect(txn: Txn, id: string, address: number): Fault | undefined {
  const unusable = ftraceUsable(txn);
  if (unusable !== undefined) return unusable;
  const ops = txn.op(id);
  if (ops.filter.size === 0)
    return refuse(FTRACE_IPMODIFY_EMPTY_FILTER, { detail: 'A direct call has to name at least one function.' });
  for (const site of ops.filter) {
    if (!txn.directFunctions.has(site)) continue;
    return refuse(FTRACE_DIRECT_EXCLUSIVE, {
      detail: `${txn.place(site)} already has a direct call, and a function takes one.`,
      place: txn.place(site),
      holders: directHolders(txn, site),
    });
  }
  for (const site of ops.filter) txn.directFunctions.set(site, address);
  const claims = txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'never' ? OPS.IPMODIFY : 0;
  txn.setOp({
    ...ops,
    flags: (ops.flags & OPS.PERMANENT) | OPS.INITIALIZED | OPS.DIRECT | OPS.SAVE_REGS | OPS.DYNAMIC | claims,
    trampoline: symbolsOf(txn).ftraceRegsCaller,
    trampolineSize: 0,
    directCall: address,
  });
  const fault = startup(txn, id);
  if (fault !== undefined) resetDirect(txn, id, address);
  return fault;
}

/** reset_direct: only entries that call `address` go, so a wrong address leaves them for good, as in Linux. */
function resetDirect(txn: Txn, id: string, address: number): void {
  const ops = txn.op(id);
  for (const site of ops.filter) if (txn.directFunctions.get(site) === address) txn.directFunctions.delete(site);
  txn.setOp({ ...ops, trampoline: undefined, directCall: undefined });
}

export function unregisterFtraceDirect(txn: Txn, id: string, address: number): Fault | undefined {
  const fault = unregisterFtraceFunction(txn, id);
  if (fault !== undefined) return fault;
  resetDirect(txn, id, address);
  return undefined;
}

/**
 * modify_ftrace_direct: a helper ops joins the sites, so that they call the shared caller; the target is swapped; the helper leaves and the
 * sites call the new target. Two rewrites of each site, and at no time a site without a callback.
 */
export function modifyFtraceDirect(txn: Txn, id: string, address: number): Fault | undefined {
  const ops = txn.op(id);
  const helper: FtraceOps = {
    // Never called with its ops, so it needs no address.
    ...blankOps(`modify_ftrace_direct:${id}`, 0n),
    flags: OPS.INITIALIZED | OPS.STUB,
    func: { at: symbolsOf(txn).ftraceStub, symbol: 'ftrace_stub' },
    filter: ops.filter,
    directCall: address,
  };
  txn.setOp(helper);
  const joined = startup(txn, helper.id);
  if (joined !== undefined) return joined;
  const modify = txn.world.fact(MODIFY_DIRECT);
  const meets = txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'when its owner agrees';
  const isAsked = isEnabled(ops) && meets && modify !== 'does not ask';
  const fault = isAsked ? updateIpmodify(txn, txn.op(id), ops.filter, ops.filter, true) : undefined;
  if (fault === undefined) {
    for (const site of ops.filter) if (txn.directFunctions.has(site)) txn.directFunctions.set(site, address);
    txn.setOp({ ...txn.op(id), directCall: address });
  }
  const left = unregisterFtraceFunction(txn, helper.id);
  txn.opsTable.delete(helper.id);
  return fault ?? left;
}
