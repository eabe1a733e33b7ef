import { invariant } from '../../base/index.ts';
import { FTRACE_RET_SIZE, ftraceCallerSymbols, generateFtraceTrampoline } from '../../jit/index.ts';
import { install } from '../arena.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { opsCallee } from './callers.ts';
import { hasFlag } from './ops-list.ts';

/** arch_ftrace_update_trampoline: the ops' private copy of ftrace_caller or ftrace_regs_caller. */
export function installTrampoline(txn: Txn, ops: FtraceOps): FtraceOps {
  const { image, cpu, codeLayout } = txn.world;
  const symbols = ftraceCallerSymbols((name) => image.symbols.offsetOf(name), hasFlag(ops, OPS.SAVE_REGS));
  invariant(symbols !== undefined, 'the image has the labels of its ftrace callers');
  const target = opsCallee(txn, ops);
  const size = symbols.end - symbols.start + FTRACE_RET_SIZE + 8;
  const trampoline = install(txn, { size, what: 'ftrace_trampoline', attachment: ops.attachment }, (at) => {
    const made = generateFtraceTrampoline({
      layout: codeLayout,
      text: txn.text,
      symbols,
      at,
      ops: ops.pointer,
      target,
      cpu,
    });
    invariant(made.ok, () => (made.ok ? '' : made.fault.detail));
    return made.value;
  });
  return txn.setOp({ ...ops, trampoline, trampolineSize: size, flags: ops.flags | OPS.ALLOC_TRAMP });
}
