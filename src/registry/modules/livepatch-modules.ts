/**
 * Livepatches and the modules that they patch: functions of a module are patched when it comes and let go when it goes; the patch stays.
 * Source: kernel/livepatch/core.c klp_module_coming, klp_module_going, klp_cleanup_module_patches_limited (6.12; 6.1 alike).
 */
import type { Fault } from '../../base/index.ts';
import { inModule, type ModuleImage } from '../../image/index.ts';
import { dropReplacement, pushReplacement } from '../livepatch/stack.ts';
import type { Attachment, KlpFunction, KlpPatch } from '../model/state.ts';
import { patchedFunction } from '../owners/livepatch.ts';
import { locate, type Place, parsePlace } from '../place.ts';
import { MODULE_LIVEPATCH } from '../rules/module.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';

/** Places of this module that a patch names, `lab:lab_t1`. */
function placesIn(attachment: Attachment, module: string): readonly { readonly place: Place; readonly text: string }[] {
  const { target } = attachment;
  const texts = typeof target === 'string' ? [target] : 'pattern' in target ? [] : target;
  return texts.flatMap((text) => {
    const place = parsePlace(text);
    return place?.kind === 'symbol' && place.module === module ? [{ place, text }] : [];
  });
}

interface Code {
  readonly at: number;
  readonly size: number;
}

/** Where the patch's replacement is: generated for it, or the place that it named. */
function replacementOf(txn: Txn, attachment: Attachment): Code | undefined {
  const wanted = attachment.options['replacement'];
  const own = attachment.owned[0];
  if (typeof wanted !== 'string') {
    const bytes = own === undefined ? undefined : txn.arena.allocations.get(own)?.bytes;
    return own === undefined || bytes === undefined ? undefined : { at: own, size: bytes.length };
  }
  const place = parsePlace(wanted);
  const at = place === undefined ? undefined : locate(txn.world, place);
  return at === undefined ? undefined : { at, size: txn.world.image.symbols.containing(at)?.size ?? 1 };
}

/** The functions of this module that the patch names. */
function functionsIn(txn: Txn, attachment: Attachment, module: ModuleImage): readonly KlpFunction[] | Fault {
  const found: KlpFunction[] = [];
  for (const { place, text } of placesIn(attachment, module.name)) {
    const patched = patchedFunction(txn, place, text, undefined);
    if (!patched.ok)
      return refuse(MODULE_LIVEPATCH, {
        detail: `${attachment.id} patches ${text}: ${patched.fault.detail}`,
        place: text,
        holders: txn.holders([attachment.id]),
      });
    found.push(patched.value);
  }
  return found;
}

const setPatch = (txn: Txn, patch: KlpPatch): void => {
  const patches = txn.livepatching.patches.map((each) => (each.attachment === patch.attachment ? patch : each));
  txn.livepatching = { ...txn.livepatching, patches };
};

function applyPatch(txn: Txn, patch: KlpPatch, module: ModuleImage): Fault | undefined {
  const attachment = txn.attachment(patch.attachment);
  const functions = functionsIn(txn, attachment, module);
  if ('errno' in functions) return functions;
  const code = replacementOf(txn, attachment);
  if (functions.length === 0 || code === undefined) return undefined;
  for (const { func, site } of functions) {
    const entry = { attachment: patch.attachment, patch: patch.name, ...code, isNop: false };
    const fault = pushReplacement(txn, func, site, entry);
    if (fault !== undefined) return fault;
  }
  setPatch(txn, { ...patch, funcs: [...patch.funcs, ...functions] });
  const sites = [...attachment.sites, ...functions.map(({ site }) => site)].sort((a, b) => a - b);
  txn.attachments.set(attachment.id, { ...attachment, sites });
  return undefined;
}

/** klp_for_each_patch: in the order in which they were enabled, so that the newest ends on top. */
export function klpModuleComing(txn: Txn, module: ModuleImage): Fault | undefined {
  for (const patch of txn.livepatching.patches) {
    const fault = applyPatch(txn, patch, module);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

export function klpModuleGoing(txn: Txn, module: ModuleImage): void {
  for (const patch of txn.livepatching.patches) {
    const leaving = patch.funcs.filter(({ func }) => inModule(module, func));
    for (const { func } of leaving) {
      const fault = dropReplacement(txn, func, patch.attachment);
      if (fault !== undefined)
        txn.warnings.push(`The patch of ${txn.place(func)} could not be undone (${fault.errno}, ${fault.rule}).`);
    }
    if (leaving.length > 0) setPatch(txn, { ...patch, funcs: patch.funcs.filter((each) => !leaving.includes(each)) });
  }
}
