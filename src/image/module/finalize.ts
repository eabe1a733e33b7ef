/**
 * What loading a module does to its text: module_finalize, ftrace_module_init, jump_label_add_module, static_call_add_module. The passes are boot's.
 * Source: arch/x86/kernel/module.c module_finalize; kernel/trace/ftrace.c ftrace_module_init; kernel/jump_label.c jump_label_add_module;
 * kernel/static_call_inline.c static_call_add_module (6.12; 6.1 has paravirt calls and no call thunks).
 */
import { JMP32_INSN_OPCODE, relTarget } from '../../insn/index.ts';
import {
  applyAlternatives,
  applyParavirt61,
  applyRetpolines,
  applyReturns,
  type BootContext,
  bootText,
  type CallThunks,
  callThunkTemplate,
  capsOf,
  machineOf,
  makeReport,
  makeThunks,
  noCallThunks,
  nopFtraceSites,
  patchCalls,
  patchJumpLabels,
  patchStaticCalls,
  readCallSites,
  readJumpEntries,
  refusingFarBranches,
  sealEndbr,
  type TextRangeBytes,
  unlockForUniprocessor,
} from '../boot/index.ts';
import type { KernelImage } from '../kernel-image.ts';
import type { RawKernel } from '../raw-kernel.ts';
import type { Layout } from './layout.ts';

const CODE_END = 0xffff_ffff;
const TRAMPOLINE = '__SCT__';
const KEY = '__SCK__';

/** Where the trampoline of a static call goes after boot: null when it returns. */
function trampolineTarget(image: KernelImage, at: number): number | null | undefined {
  if (!image.pristine.contains(at, 5)) return undefined;
  const bytes = image.pristine.bytes(at, 5);
  const target = bytes[0] === JMP32_INSN_OPCODE ? relTarget(bytes, at) : undefined;
  if (target === undefined) return null;
  return /return_thunk$/.test(image.symbols.containing(target)?.name ?? '') ? null : target;
}

/** Names of a static call by what a module's site refers to: the key or, where the key is not exported, the trampoline. */
function callNamed(image: KernelImage, reference: number): string | undefined {
  const symbol = image.symbols.containing(reference);
  if (symbol?.offset !== reference) return undefined;
  return [TRAMPOLINE, KEY].includes(symbol.name.slice(0, KEY.length)) ? symbol.name.slice(KEY.length) : undefined;
}

/** Functions of the kernel's static calls that this module's sites call, by what its table refers to. */
function callTargets(image: KernelImage, kernel: RawKernel): Map<number, number | null> {
  const targets = new Map<number, number | null>();
  for (const { key } of readCallSites(kernel)) {
    const name = callNamed(image, key);
    const trampoline = name === undefined ? undefined : image.symbols.offsetOf(TRAMPOLINE + name);
    const target = trampoline === undefined ? undefined : trampolineTarget(image, trampoline);
    if (target !== undefined) targets.set(key, target);
  }
  return targets;
}

/** Keys of a module's static-call table: what refers to a trampoline is the trampoline's key. */
export function callKey(image: KernelImage, reference: number): number {
  const name = callNamed(image, reference);
  return (name === undefined ? undefined : image.symbols.offsetOf(KEY + name)) ?? reference;
}

function callThunks(boot: BootContext, image: KernelImage): CallThunks {
  const template = callThunkTemplate(boot);
  if (template === undefined) return noCallThunks;
  const thunks = makeThunks(boot, template, { end: CODE_END, core: image.pristine });
  patchCalls(boot, thunks, CODE_END);
  return thunks;
}

export interface Finalized {
  readonly text: readonly TextRangeBytes[];
  readonly counts: Readonly<Record<string, number>>;
}

/**
 * Patches copies of the module's executable areas.
 *   1. calls through pv_ops (6.1), retpolines, returns, alternatives, call thunks, sealed ENDBRs, LOCK prefixes on one CPU
 *   2. ftrace sites become NOPs
 *   3. static branches and static calls get the state that their keys have after boot
 */
export function finalize(
  image: KernelImage,
  kernel: RawKernel,
  layout: Layout,
  thunkPage: (index: number) => number,
): Finalized {
  const { report, result } = makeReport();
  const text = layout.areas
    .filter((area) => area.kind === 'text' || area.kind === 'init.text')
    .map((area) => ({ name: area.kind, start: area.start, bytes: area.bytes.slice() }));
  const boot: BootContext = {
    kernel,
    text: bootText(kernel, text),
    profile: image.profile,
    ...machineOf(image.profile),
    caps: capsOf(new Set(image.moduleSupport.capabilities)),
    report,
    thunkPage,
  };
  const core = text.find((area) => area.name === 'text');
  refusingFarBranches(() => {
    applyParavirt61(boot);
    applyRetpolines(boot);
    applyReturns(boot);
    applyAlternatives(boot);
    const thunks = callThunks(boot, image);
    sealEndbr(boot);
    unlockForUniprocessor(boot, core === undefined ? 0 : core.start + core.bytes.length);
    nopFtraceSites(boot);
    const entries = readJumpEntries(kernel);
    const states = new Map<number, boolean>();
    for (const { key } of entries) {
      const isOn = image.moduleSupport.keyState(key);
      if (isOn !== undefined) states.set(key, isOn);
    }
    patchJumpLabels(boot, entries, states);
    patchStaticCalls(boot, callTargets(image, kernel), thunks, true);
  });
  return { text, counts: result().counts };
}
