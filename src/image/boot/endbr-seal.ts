import { ENDBR_POISON, isEndbr } from '../../insn/index.ts';
import type { BootContext } from './context.ts';
import { readSites } from './site-tables.ts';

/** apply_seal_endbr: whatever the CPU, a kernel that has the list poisons the ENDBR of functions that are never called indirectly. */
export function sealEndbr(boot: BootContext): void {
  const { text } = boot;
  for (const site of readSites(boot.kernel, '.ibt_endbr_seal')) {
    if (!text.has(site, 4) || !isEndbr(text.view(site, 4))) continue;
    text.write(site, ENDBR_POISON);
    boot.report.count('ENDBR sealed');
  }
}
