import { bytesEqual } from '../../base/index.ts';
import { CALL_INSN_OPCODE, callRel32 } from '../../insn/index.ts';
import { readAltInstrs } from './alt-instr.ts';
import type { BootContext } from './context.ts';
import { hasFeature } from './hidden-features.ts';
import { optimizeNops } from './optimize-nops.ts';
import { applyRelocation } from './relocation.ts';
import { readSites } from './site-tables.ts';

const NOP = 0x90;
const KEXEC_CONTROL_CODE_MAX_SIZE = 2048;
/** MAX_PATCH_LEN: no template is longer. */
const TEMPLATE_MAX = 254;
/** Functions whose callers are not counted (skip_addr, arch/x86/kernel/callthunks.c, 6.12). */
const SKIPPED = [
  'error_entry',
  'paranoid_entry',
  'xen_error_entry',
  '__switch_to_asm',
  'ret_from_fork',
  'soft_restart_cpu',
  '__fentry__',
];

/** Sends calls to the accounting code in front of functions, which it writes there (call depth tracking). */
export interface CallThunks {
  /** The thunk of a call's destination, or the destination itself where there is none (callthunks_translate_call_dest). */
  translate(destination: number): number;
}

export const noCallThunks: CallThunks = { translate: (destination) => destination };

/**
 * callthunks_patch_builtin_calls; does nothing without call depth tracking. `prepare` puts static calls in place first: the sites are calls of
 * functions by then, no longer of trampolines.
 */
export function applyCallThunks(boot: BootContext, prepare: () => void): CallThunks {
  const { kernel, text } = boot;
  const template = kernel.symbolOffset('skl_call_thunk_template');
  const tail = kernel.symbolOffset('skl_call_thunk_tail');
  if (!hasFeature(kernel, boot.caps, 'CALL_DEPTH') || template === undefined || tail === undefined) return noCallThunks;
  const accounting = tail - template <= TEMPLATE_MAX ? kernel.read(template, tail - template) : undefined;
  if (accounting === undefined || accounting.length === 0) return noCallThunks;
  prepare();
  const thunks = makeThunks(boot, template, accounting);
  const patch = (site: number): void => {
    const end = kernel.symbolOffset('_etext') ?? 0;
    if (site < 0 || site >= end || !text.has(site, 5) || text.view(site, 1)[0] !== CALL_INSN_OPCODE) return;
    const destination = site + 5 + text.s32(site + 1);
    const thunk = thunks.translate(destination);
    if (thunk === destination) return;
    text.write(site, callRel32(site, thunk));
    boot.report.count('call thunk');
  };
  for (const site of readSites(kernel, '.call_sites')) patch(site);
  const alternatives = readAltInstrs(kernel, (offset, length) => text.has(offset, length));
  for (const entry of alternatives?.entries ?? []) patch(entry.instr);
  return thunks;
}

function makeThunks(boot: BootContext, template: number, accounting: Uint8Array): CallThunks {
  const { kernel, text } = boot;
  const size = accounting.length;
  const end = kernel.symbolOffset('_etext') ?? 0;
  const nops = new Uint8Array(size).fill(NOP);
  const skipped = new Set(SKIPPED.map((name) => kernel.symbolOffset(name)));
  const kexec = kernel.symbolOffset('relocate_kernel');
  const isKexec = (offset: number): boolean =>
    kexec !== undefined && offset >= kexec && offset < kexec + KEXEC_CONTROL_CODE_MAX_SIZE;
  return {
    translate: (destination) => {
      const pad = destination - size;
      if (skipped.has(destination) || isKexec(destination) || destination < 0 || destination >= end) return destination;
      if (!text.has(pad, size)) return destination;
      const thunk = accounting.slice();
      applyRelocation(thunk, pad, template, size);
      optimizeNops(thunk);
      const bytes = text.view(pad, size);
      if (bytesEqual(bytes, thunk)) return pad;
      if (!bytesEqual(bytes, nops)) return destination;
      bytes.set(thunk);
      boot.report.count('call thunk code');
      return pad;
    },
  };
}
