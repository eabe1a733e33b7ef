import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { generateReplacement } from '../../jit/index.ts';
import { install, remove } from '../arena.ts';
import { ftraceUsable } from '../ftrace/ops.ts';
import { patchName, stragglers } from '../livepatch/describe.ts';
import { disablePatch, enablePatch, patchOf, reverseTransition } from '../livepatch/transition.ts';
import type { Attachment, KlpFunction, KlpPatch } from '../model/state.ts';
import { locate, type Place, parsePlace, scopeOf } from '../place.ts';
import {
  LIVEPATCH_EXISTS,
  LIVEPATCH_FORCED,
  LIVEPATCH_IN_USE,
  LIVEPATCH_NO_SITE,
  LIVEPATCH_NOT_REENABLED,
  LIVEPATCH_SAME_STATE,
  LIVEPATCH_TWICE,
} from '../rules/livepatch.ts';
import { OPTION_INVALID } from '../rules/request.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation, isWeakLeftover, type World } from '../world.ts';
import { flag } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const CODE_SIZE = 64;
/** What a built-in replacement returns: told apart from what a kernel function would. */
const BUILT_IN_RESULT = 0x6b70;

/** klp_find_object_symbol: the kernel's own symbols, or those of the module that is named. */
function symbolsOf({ world }: Txn, place: Place): World['image'] {
  const isKernels = place.kind === 'symbol' && place.module === undefined;
  return (isKernels ? (world.core ?? world) : (scopeOf(world, place) ?? world)).image;
}

/** Which function is meant (klp_find_object_symbol), and that it can be patched (klp_patch_func). */
export function patchedFunction(txn: Txn, place: Place, text: string, index: number | undefined): Result<KlpFunction> {
  const { symbols } = symbolsOf(txn, place);
  const refused = (detail: string): Result<never> =>
    err(refuse(LIVEPATCH_NO_SITE, { detail, place: text, ...(index === undefined ? {} : { index }) }));
  const func = locate(txn.world, place);
  const isElsewhere = place.kind === 'symbol' && symbols.offsetOf(place.name) === undefined;
  if (func === undefined || isElsewhere) return refused(`${text} is not in the kernel's symbol table.`);
  if (place.kind === 'symbol' && symbols.byName(place.name).length > 1)
    return refused(`${symbols.byName(place.name).length} symbols are called ${place.name}.`);
  const symbol = txn.world.image.symbols.containing(func);
  if (symbol?.offset !== func) return refused(`${text} is not the start of a function.`);
  const site = ftraceLocation(txn.world, func);
  if (site === undefined || isWeakLeftover(txn.world, site)) return refused(`${text} has no ftrace site.`);
  return ok({ func, site });
}

function patchedFunctions(txn: Txn, target: OwnerRequest['target']): Result<readonly KlpFunction[]> {
  const places = target.kind === 'places' ? target.places : target.kind === 'place' ? [target] : [];
  const found: KlpFunction[] = [];
  for (const [index, { place, text }] of places.entries()) {
    // klp_is_object_loaded: functions of a module that is not there are patched when it comes.
    if (scopeOf(txn.world, place) === undefined) continue;
    const patched = patchedFunction(txn, place, text, target.kind === 'places' ? index : undefined);
    if (!patched.ok) return patched;
    if (found.some((each) => each.func === patched.value.func))
      return err(refuse(LIVEPATCH_TWICE, { detail: `${text} is in the list twice.`, place: text, index }));
    found.push(patched.value);
  }
  return ok(found);
}

interface Code {
  readonly at: number;
  readonly size: number;
  readonly owned: readonly number[];
}

/** Code that runs instead: the caller's place in text, or a function of our own that returns a constant. */
function replacementCode(txn: Txn, request: OwnerRequest): Result<Code> {
  const wanted = request.options['replacement'];
  if (typeof wanted === 'string') {
    const place = parsePlace(wanted);
    const at = place === undefined ? undefined : locate(txn.world, place);
    if (at === undefined || !txn.text.contains(at, 1))
      return err(
        refuse(OPTION_INVALID, { detail: `options.replacement ${JSON.stringify(wanted)} is not a place in text.` }),
      );
    return ok({ at, size: txn.world.image.symbols.containing(at)?.size ?? 1, owned: [] });
  }
  let size = 0;
  const at = install(
    txn,
    { size: CODE_SIZE, what: 'livepatch_replacement', attachment: request.identity.id },
    (where) => {
      const code = generateReplacement({ at: where, returns: BUILT_IN_RESULT, cpu: txn.world.cpu });
      size = code.length;
      return code;
    },
  );
  return ok({ at, size, owned: [at] });
}

/** A module is loaded once, whether its patch is enabled or not. */
const loadedAs = (txn: Txn, name: string): readonly string[] =>
  [...txn.attachments.values()]
    .filter((each) => each.kind === 'livepatch' && patchName(each.id, each.options) === name)
    .map((each) => each.id);

function warnOfStragglers(txn: Txn, patch: string): void {
  const { transition } = txn.livepatching;
  if (transition === undefined) return;
  txn.warnings.push(`${patch} is in transition to ${transition.target}: ${stragglers(txn)}`);
}

function attach(txn: Txn, request: OwnerRequest): Result<Attached> {
  const unusable = ftraceUsable(txn, 'klp_ftrace_handler');
  if (unusable !== undefined) return err(unusable);
  const name = patchName(request.identity.id, request.options);
  const loaded = loadedAs(txn, name);
  if (loaded.length > 0)
    return err(refuse(LIVEPATCH_EXISTS, { detail: `A patch called ${name} is loaded.`, holders: txn.holders(loaded) }));
  const functions = patchedFunctions(txn, request.target);
  if (!functions.ok) return functions;
  const code = replacementCode(txn, request);
  if (!code.ok) return code;
  const attachment = request.identity.id;
  const { at, size, owned } = code.value;
  const patch: KlpPatch = {
    attachment,
    name,
    isEnabled: true,
    isReplace: flag(request.options, 'replace'),
    isForced: false,
    funcs: functions.value,
  };
  const fault = enablePatch(txn, patch, { attachment, patch: name, at, size, isNop: false });
  if (fault !== undefined) return err(fault);
  warnOfStragglers(txn, name);
  return ok({ sites: functions.value.map((each) => each.site), owned });
}

/** delete_module of an enabled patch is refused, so it is disabled first; what cannot be done at once is not begun. */
function detach(txn: Txn, attachment: Attachment): Fault | undefined {
  if (txn.livepatching.forced.includes(attachment.id))
    return refuse(LIVEPATCH_FORCED, { detail: `Tasks were forced out of ${attachment.id}, so its code has to stay.` });
  const inUse = (): Fault =>
    refuse(LIVEPATCH_IN_USE, {
      detail: `${attachment.id} is not unpatched yet: ${stragglers(txn)}`,
      holders: txn.holders([attachment.id]),
    });
  const patch = patchOf(txn, attachment.id);
  if (patch !== undefined) {
    if (txn.livepatching.transition?.attachment === attachment.id) return inUse();
    const fault = disablePatch(txn, patch);
    if (fault !== undefined) return fault;
    if (txn.livepatching.transition !== undefined) return inUse();
  }
  for (const at of attachment.owned) remove(txn, at, ['rcu_tasks']);
  return undefined;
}

/** enabled_store: a transition is reversed in either direction; else a patch goes, and none comes back. */
function setEnabled(txn: Txn, attachment: Attachment, enabled: boolean): Fault | undefined {
  if (attachment.isEnabled === enabled)
    return refuse(LIVEPATCH_SAME_STATE, {
      detail: `${attachment.id} is ${enabled ? 'enabled' : 'disabled'} already.`,
    });
  const patch = patchOf(txn, attachment.id);
  if (patch !== undefined && txn.livepatching.transition?.attachment === attachment.id) {
    reverseTransition(txn);
    for (const { site } of patch.funcs) txn.touched.add(site);
    return undefined;
  }
  if (enabled || patch === undefined)
    return refuse(LIVEPATCH_NOT_REENABLED, { detail: `${attachment.id} was disabled.` });
  return disablePatch(txn, patch);
}

/** klp_enable_patch, enabled_store. Source: kernel/livepatch/core.c (6.12; 6.1 alike). */
export const livepatchOwner: Owner = {
  kind: 'livepatch',
  options: { patch: { type: 'name' }, replace: { type: 'boolean' }, replacement: { type: 'name' } },
  takes: ['places'],
  attach,
  detach,
  setEnabled,
  refusesSameState: true,
};
