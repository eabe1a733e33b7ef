import type { BootContext } from './context.ts';
import { readSites } from './site-tables.ts';
import { isUniprocessor } from './static-keys.ts';

const LOCK_PREFIX = 0xf0;
const DS_PREFIX = 0x3e;

/** alternatives_smp_unlock: on one CPU a LOCK prefix becomes a DS prefix that does nothing. Init text, behind `end`, is left alone. */
export function unlockForUniprocessor(boot: BootContext, end = boot.kernel.symbolOffset('_etext') ?? 0): void {
  if (boot.cmdline.flag('noreplace-smp') || !isUniprocessor(boot)) return;
  const { kernel, text } = boot;
  for (const site of readSites(kernel, '.smp_locks')) {
    if (site < 0 || site >= end || !text.has(site, 1)) continue;
    const byte = text.view(site, 1);
    if (byte[0] !== LOCK_PREFIX) continue;
    byte[0] = DS_PREFIX;
    boot.report.count('SMP lock');
  }
}
