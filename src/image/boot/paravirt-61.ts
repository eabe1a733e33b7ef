import { callRel32 } from '../../insn/index.ts';
import { tableInSection } from '../tables/table-bytes.ts';
import type { BootContext } from './context.ts';
import { addressOffset, readPointer } from './kernel-memory.ts';
import { addNops61 } from './optimize-nops.ts';

/** struct paravirt_patch_site before 6.8: u64 instr, u8 type, u8 len, padded to 16 bytes. */
const ENTRY_SIZE = 16;

/** apply_paravirt: calls through pv_ops become direct calls of the native functions, or NOPs for those that do nothing. */
export function applyParavirt61(boot: BootContext): void {
  const { kernel, text } = boot;
  const table = tableInSection(kernel, '.parainstructions', '__parainstructions_end');
  const ops = kernel.symbolOffset('pv_ops');
  if (table === undefined || ops === undefined) return;
  const nothing = kernel.symbolOffset('_paravirt_nop');
  const bug = kernel.symbolOffset('paravirt_BUG');
  const count = Math.floor(table.view.length / ENTRY_SIZE);
  for (let i = 0; i < count; i++) {
    const at = i * ENTRY_SIZE;
    const site = addressOffset(kernel, table.view.u64(at));
    const type = table.view.u8(at + 8);
    const length = table.view.u8(at + 9);
    if (site === undefined || !text.has(site, length)) continue;
    const pointer = readPointer(kernel, ops + type * 8);
    const target = pointer === null ? bug : pointer;
    if (target === undefined) continue;
    const bytes = text.view(site, length);
    const isNothing = target === nothing;
    if (!isNothing) bytes.set(callRel32(site, target));
    const used = isNothing ? 0 : 5;
    addNops61(bytes, used, length - used);
    boot.report.count('paravirt call');
  }
}
