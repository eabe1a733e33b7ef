/**
 * Livepatched functions: one ftrace_ops for each, and a stack of replacements behind it whose top runs.
 * Source: kernel/livepatch/patch.c klp_patch_func, klp_unpatch_func (6.12; 6.1 alike). Tasks are not modelled, so a transition is over at once.
 */
import { Set as ImmutableSet } from 'immutable';
import { type Fault, invariant } from '../../base/index.ts';
import { symbolFunc } from '../ftrace/callers.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { registerFtraceFunction, unregisterFtraceFunction } from '../ftrace/ops.ts';
import { OPS } from '../model/flags.ts';
import type { LivepatchedFunction, Replacement } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** klp_patch_func: the first patch of a function claims IPMODIFY; later ones go on top of its stack. */
export function pushReplacement(txn: Txn, func: number, site: number, replacement: Replacement): Fault | undefined {
  const patched = txn.livepatches.get(func);
  txn.touched.add(site);
  if (patched !== undefined) {
    txn.livepatches.set(func, { ...patched, stack: [replacement, ...patched.stack] });
    return undefined;
  }
  const ops = `klp_ops:${func.toString(16)}`;
  newOps(txn, ops, {
    flags: OPS.INITIALIZED | OPS.DYNAMIC | OPS.IPMODIFY | OPS.PERMANENT,
    func: symbolFunc(txn, 'klp_ftrace_handler'),
    filter: ImmutableSet([site]),
    livepatchedFunction: func,
  });
  txn.livepatches.set(func, { func, ops, stack: [replacement] });
  return registerFtraceFunction(txn, ops);
}

const without = (patched: LivepatchedFunction, attachment: string): readonly Replacement[] =>
  patched.stack.filter((each) => each.attachment !== attachment);

/** klp_unpatch_func: the last patch of a function gives IPMODIFY back. */
export function dropReplacement(txn: Txn, func: number, attachment: string): Fault | undefined {
  const patched = txn.livepatches.get(func);
  invariant(patched !== undefined, () => `${txn.place(func)} is not livepatched`);
  for (const site of txn.op(patched.ops).filter) txn.touched.add(site);
  const stack = without(patched, attachment);
  if (stack.length > 0) {
    txn.livepatches.set(func, { ...patched, stack });
    return undefined;
  }
  const fault = unregisterFtraceFunction(txn, patched.ops);
  if (fault !== undefined) return fault;
  txn.livepatches.delete(func);
  txn.opsTable.delete(patched.ops);
  return undefined;
}
