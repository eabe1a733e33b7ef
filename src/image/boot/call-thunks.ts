import { bytesEqual, type ReadableText } from '../../base/index.ts';
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
  const { kernel } = boot;
  const template = callThunkTemplate(boot);
  if (template === undefined) return noCallThunks;
  prepare();
  const end = kernel.symbolOffset('_etext') ?? 0;
  const thunks = makeThunks(boot, template, { end });
  patchCalls(boot, thunks, end);
  return thunks;
}

/** Every call in `.call_sites` and every alternative that is a call. */
export function patchCalls(boot: BootContext, thunks: CallThunks, end: number): void {
  const { kernel, text } = boot;
  const patch = (site: number): void => {
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
}

/** Where the accounting code comes from, as it lies in the kernel; undefined without call depth tracking. */
export function callThunkTemplate({ kernel, caps }: BootContext): { at: number; bytes: Uint8Array } | undefined {
  const at = kernel.symbolOffset('skl_call_thunk_template');
  const tail = kernel.symbolOffset('skl_call_thunk_tail');
  if (!hasFeature(kernel, caps, 'CALL_DEPTH') || at === undefined || tail === undefined) return undefined;
  const bytes = tail - at <= TEMPLATE_MAX ? kernel.read(at, tail - at) : undefined;
  return bytes === undefined || bytes.length === 0 ? undefined : { at, bytes };
}

/** Destinations below `start` or from `end` on are no text with thunks; what `core` has is done already and not written. */
export function makeThunks(
  boot: BootContext,
  { at: template, bytes: accounting }: { readonly at: number; readonly bytes: Uint8Array },
  { end, core }: { readonly end: number; readonly core?: ReadableText },
): CallThunks {
  const { kernel, text } = boot;
  const size = accounting.length;
  const nops = new Uint8Array(size).fill(NOP);
  const skipped = new Set(SKIPPED.map((name) => kernel.symbolOffset(name)));
  const kexec = kernel.symbolOffset('relocate_kernel');
  const isKexec = (offset: number): boolean =>
    kexec !== undefined && offset >= kexec && offset < kexec + KEXEC_CONTROL_CODE_MAX_SIZE;
  return {
    translate: (destination) => {
      const pad = destination - size;
      if (skipped.has(destination) || isKexec(destination) || destination < 0 || destination >= end) return destination;
      const isCore = core?.contains(pad, size) === true;
      if (!isCore && !text.has(pad, size)) return destination;
      const thunk = accounting.slice();
      applyRelocation(thunk, pad, template, size);
      optimizeNops(thunk);
      if (isCore) return bytesEqual(core.bytes(pad, size), thunk) ? pad : destination;
      const bytes = text.view(pad, size);
      if (bytesEqual(bytes, thunk)) return pad;
      if (!bytesEqual(bytes, nops)) return destination;
      bytes.set(thunk);
      boot.report.count('call thunk code');
      return pad;
    },
  };
}
