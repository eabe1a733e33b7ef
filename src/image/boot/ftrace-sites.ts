import { CALL_INSN_OPCODE, NOP5 } from '../../insn/index.ts';
import { entriesOf, tableBetween } from '../tables/table-bytes.ts';
import type { BootContext } from './context.ts';

/** ftrace_init: every `call __fentry__` in `__mcount_loc` becomes the five-byte NOP, in init text too. Zero entries are weak functions that lost. */
export function nopFtraceSites(boot: BootContext): void {
  const { kernel, text } = boot;
  const table = tableBetween(kernel, '__mcount_loc', '__start_mcount_loc', '__stop_mcount_loc');
  const fentry = kernel.symbolOffset('__fentry__');
  if (table === undefined || fentry === undefined) return;
  const count = entriesOf(table, 8);
  // Addresses share their upper half with _text: 42,000 of them are not worth a bigint each.
  const high = Number(kernel.base >> 32n);
  const low = Number(kernel.base & 0xffff_ffffn);
  for (let i = 0; i < count; i++) {
    if (table.view.u32(i * 8 + 4) !== high) continue;
    const site = table.view.u32(i * 8) - low;
    if (site < 0 || !text.has(site, 5)) continue;
    const bytes = text.view(site, 5);
    if (bytes[0] !== CALL_INSN_OPCODE || site + 5 + text.s32(site + 1) !== fentry) continue;
    bytes.set(NOP5);
    boot.report.count('ftrace site');
  }
}
