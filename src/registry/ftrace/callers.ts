/**
 * What the shared callers call, and the pokes that make it so.
 * Source: kernel/trace/ftrace.c update_ftrace_function, ftrace_ops_get_list_func, ftrace_ops_get_func, update_ftrace_func;
 * arch/x86/kernel/ftrace.c ftrace_update_ftrace_func (6.12).
 */
import { invariant } from '../../base/index.ts';
import { CALL_INSN_SIZE, callRel32 } from '../../insn/index.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import type { FtraceSymbols } from '../world.ts';
import { hasFlag, soleOps } from './ops-list.ts';

export function symbolsOf(txn: Txn): FtraceSymbols {
  invariant(txn.world.ftrace !== undefined, 'the image has ftrace callers');
  return txn.world.ftrace;
}

/** A callback that is a function of the kernel itself. The caller has checked that the kernel has it. */
export function symbolFunc(txn: Txn, symbol: string): FtraceOps['func'] {
  const at = txn.world.image.symbols.offsetOf(symbol);
  invariant(at !== undefined, () => `the image has ${symbol}`);
  return { at, symbol };
}

/** ftrace_ops_get_func: an ops that does not guard itself against recursion is called through the assist function. */
export function opsCallee(txn: Txn, ops: FtraceOps): number {
  return hasFlag(ops, OPS.RECURSION) ? symbolsOf(txn).assistFunction : ops.func.at;
}

/** update_ftrace_function: what one ops alone, or the list walk, wants the shared callers to call. Nobody asks while ftrace is off. */
export function updateTraceFunction(txn: Txn): void {
  if (!txn.ftrace.isEnabled) return;
  const symbols = symbolsOf(txn);
  const sole = soleOps(txn);
  let traceFunction = symbols.listFunction;
  if (txn.ftrace.registered === 0) traceFunction = symbols.ftraceStub;
  else if (sole !== undefined && !hasFlag(sole, OPS.DYNAMIC)) traceFunction = opsCallee(txn, sole);
  txn.ftrace = { ...txn.ftrace, traceFunction };
}

/** update_ftrace_func: both shared callers, one text_poke_bp each; nothing when they call it already. */
export function pokeSharedCallers(txn: Txn, callee: number): void {
  if (txn.ftrace.callerFunction === callee) return;
  const symbols = symbolsOf(txn);
  for (const at of [symbols.ftraceCall, symbols.ftraceRegsCall]) {
    const expected =
      txn.ftrace.callerFunction === undefined
        ? txn.world.pristine.bytes(at, CALL_INSN_SIZE)
        : callRel32(at, txn.ftrace.callerFunction);
    txn.poke({ at, expected, bytes: callRel32(at, callee) }, 'ftrace_update_ftrace_func');
  }
  txn.ftrace = { ...txn.ftrace, callerFunction: callee };
}
