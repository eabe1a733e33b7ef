import type { Execution, Handler } from '../execution.ts';
import { PT_REGS, PT_REGS_SIZE } from '../layout.ts';

/**
 * arch_rethook_trampoline_callback and rethook_trampoline_handler: called by arch_rethook_trampoline, which is machine code, with the
 * registers of the function that returned.
 *   1. Registers are put right: %rsp was saved two words early.
 *   2. The hooks of this frame run, newest first: a hook that was set last ran its owner last at the entry and runs first here.
 *   3. The real return address, that of the last hook, replaces the faked one behind the registers.
 *   4. Flags go to the ss slot, from where the trampoline pops them.
 */
export function* rethookReturn(x: Execution): Handler {
  const { guest } = x;
  const regs = guest.get('rdi');
  const at = (name: keyof typeof PT_REGS): bigint => regs + BigInt(PT_REGS[name]);
  const trampoline = x.index.symbol('arch_rethook_trampoline') ?? 0n;
  guest.write64(at('cs'), 0x10n);
  guest.write64(at('rip'), trampoline);
  guest.write64(at('origRax'), 0xffff_ffff_ffff_ffffn);
  guest.write64(at('rsp'), guest.read64(at('rsp')) + 16n);
  const value = guest.read64(at('rax'));
  const last = x.rethooks.findIndex((hook) => hook.returnTo !== trampoline);
  const hooks = x.rethooks.slice(0, last + 1);
  const real = hooks.at(-1)?.returnTo;
  if (real === undefined) {
    x.log.push('rethook: Return address not found! Maybe there is a bug in the kernel');
    return undefined;
  }
  guest.write64(at('rip'), real);
  x.rethooks = x.rethooks.slice(last + 1);
  for (const hook of hooks) {
    const run = hook.onReturn(value, regs);
    for (let step = run?.next(); step?.done === false; step = run?.next(yield step.value));
  }
  guest.write64(regs + PT_REGS_SIZE, real);
  guest.write64(at('ss'), guest.read64(at('flags')));
  return undefined;
}
