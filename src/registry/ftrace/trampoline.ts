import { invariant, type Result } from '../../base/index.ts';
import { FTRACE_RET_SIZE, ftraceCallerSymbols, generateFtraceTrampoline } from '../../jit/index.ts';
import { install } from '../arena.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { opsCallee } from './callers.ts';
import { hasFlag } from './ops-list.ts';

/**
 * arch_ftrace_update_trampoline: the ops' private copy of ftrace_caller or ftrace_regs_caller. A caller that somebody has a probe in cannot be
 * copied; then Linux goes on without (create_trampoline, after a WARN) and the site calls the shared caller.
 */
export function installTrampoline(txn: Txn, ops: FtraceOps): FtraceOps {
  const { image, cpu, codeLayout } = txn.world;
  const symbols = ftraceCallerSymbols((name) => image.symbols.offsetOf(name), hasFlag(ops, OPS.SAVE_REGS));
  invariant(symbols !== undefined, 'the image has the labels of its ftrace callers');
  const target = opsCallee(txn, ops);
  const size = symbols.end - symbols.start + FTRACE_RET_SIZE + 8;
  const generate = (at: number): Result<Uint8Array> =>
    generateFtraceTrampoline({ layout: codeLayout, text: txn.text, symbols, at, ops: ops.pointer, target, cpu });
  if (!generate(txn.arena.next).ok) return ops;
  const trampoline = install(txn, { size, what: 'ftrace_trampoline', attachment: ops.attachment }, (at) => {
    const made = generate(at);
    invariant(made.ok, 'a caller that can be copied to one place can be copied to another');
    return made.value;
  });
  return txn.setOp({ ...ops, trampoline, trampolineSize: size, flags: ops.flags | OPS.ALLOC_TRAMP });
}
