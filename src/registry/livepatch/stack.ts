/**
 * Livepatched functions: one ftrace_ops for each, and a stack of replacements behind it.
 * Source: kernel/livepatch/patch.c klp_patch_func, klp_unpatch_func, klp_ftrace_handler (6.12; 6.1 alike).
 */
import { Set as ImmutableSet } from 'immutable';
import { type Fault, invariant } from '../../base/index.ts';
import { symbolFunc } from '../ftrace/callers.ts';
import { newOps } from '../ftrace/new-ops.ts';
import { registerFtraceFunction, unregisterFtraceFunction } from '../ftrace/ops.ts';
import { OPS } from '../model/flags.ts';
import type { KlpState, LivepatchedFunction, Replacement } from '../model/state.ts';
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

/** klp_unpatch_func: the last patch of a function gives IPMODIFY back. With `nopsOnly` a real replacement stays. */
export function dropReplacement(
  txn: Txn,
  func: number,
  attachment: string,
  { nopsOnly = false }: { readonly nopsOnly?: boolean } = {},
): Fault | undefined {
  const patched = txn.livepatches.get(func);
  const dropped = patched?.stack.find((each) => each.attachment === attachment && (each.isNop || !nopsOnly));
  if (patched === undefined || dropped === undefined) return undefined;
  for (const site of txn.op(patched.ops).filter) txn.touched.add(site);
  const stack = patched.stack.filter((each) => each !== dropped);
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

/** The entry that stands below this patch's in the stack of a function; undefined: the function itself. */
export function replacementBelow(patched: LivepatchedFunction, attachment: string): Replacement | undefined {
  const index = patched.stack.findIndex((each) => each.attachment === attachment);
  invariant(index >= 0, () => `${attachment} does not patch _text+0x${patched.func.toString(16)}`);
  return patched.stack[index + 1];
}

/**
 * klp_ftrace_handler: where a call of a livepatched function goes on. Undefined: in the function itself.
 *   1. The top of the stack decides.
 *   2. While it is in transition, a task that is not patched yet takes the entry below it.
 *   3. A nop, or nothing below, means the original.
 * `state` is the caller's patch_state; it is looked at during a transition only.
 */
export function klpHandlerTarget(
  txn: Pick<Txn, 'livepatching'>,
  patched: LivepatchedFunction,
  state: KlpState | undefined,
): number | undefined {
  const [top, below] = patched.stack;
  invariant(top !== undefined, 'a livepatched function has a replacement');
  const isInTransition = txn.livepatching.transition?.attachment === top.attachment;
  const chosen = isInTransition && state === 'unpatched' ? below : top;
  return chosen === undefined || chosen.isNop ? undefined : chosen.at;
}
