import { toHex } from '../../base/index.ts';
import type { BootContext } from './context.ts';
import { readSites } from './site-tables.ts';

/** TASK_SIZE_MAX of 4- and 5-level paging: one page below the hole. */
const USER_PTR_MAX_4 = 0x7fff_ffff_f000n;
const USER_PTR_MAX_5 = 0xff_ffff_ffff_f000n;

function pointerBytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/**
 * Constants that boot writes into instructions (arch/x86/include/asm/runtime-const.h, 6.11 and later). The limit of user pointers follows from
 * the paging mode; others depend on the machine's memory and stay as the file has them.
 */
export function patchRuntimeConstants(boot: BootContext): void {
  const { kernel, text } = boot;
  for (const section of kernel.sections) {
    if (!/^runtime_(?:ptr|shift)_/.test(section.name)) continue;
    const sites = readSites(kernel, section.name);
    if (section.name !== 'runtime_ptr_USER_PTR_MAX') {
      const reason = `${section.name}: its value depends on the machine's memory`;
      boot.report.unknown('runtime constant', sites.length, reason);
      continue;
    }
    // LAM would lift the limit, and is left out of it on purpose until it is gated on LASS.
    const value = pointerBytes(boot.cpu.flags.has('la57') ? USER_PTR_MAX_5 : USER_PTR_MAX_4);
    for (const site of sites) {
      if (!text.has(site, 8) || toHex(text.view(site, 8)) !== 'efcdab8967452301') continue;
      text.write(site, value);
      boot.report.count('runtime constant');
    }
  }
}
