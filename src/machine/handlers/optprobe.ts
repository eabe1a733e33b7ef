import type { Execution, Handler } from '../execution.ts';
import { PT_REGS } from '../layout.ts';
import { missAll, preHandlers } from './kprobe-ftrace.ts';

/** __KERNEL_CS. */
const KERNEL_CS = 0x10n;
const INT3_SIZE = 1n;

/**
 * optimized_callback: called by a detour, which is machine code, with the struct optimized_kprobe and the registers that it has pushed.
 *   1. Switched off, and the jump not yet undone: nothing.
 *   2. While another probe runs: counted as missed.
 *   3. Registers are put right: the detour pushed ss and sp first, so that sp is a word too low. Then the pre_handlers, whatever they answer.
 *
 * Source: arch/x86/kernel/kprobes/opt.c optimized_callback, kernel/kprobes.c opt_pre_handler (6.1, 6.12).
 */
export function* optimizedCallback(x: Execution): Handler {
  const { guest, index } = x;
  const probe = index.optprobe(guest.get('rdi'));
  if (probe === undefined || probe.isDisabled) return undefined;
  if (x.kprobe !== undefined) {
    missAll(x, probe, 'recursion');
    return undefined;
  }
  const regs = guest.get('rsi');
  const at = (name: keyof typeof PT_REGS): bigint => regs + BigInt(PT_REGS[name]);
  const sp = guest.read64(at('rsp')) + 8n;
  guest.write64(at('rsp'), sp);
  guest.write64(at('cs'), KERNEL_CS);
  guest.write64(at('rip'), index.address(probe.addr) + INT3_SIZE);
  guest.write64(at('origRax'), 0xffff_ffff_ffff_ffffn);
  yield* preHandlers(x, probe, { regs, frame: sp, args: [] });
  return undefined;
}
