/**
 * The consistency model: a patch takes effect task by task, and its transition ends when all have gone over.
 * Source: kernel/livepatch/transition.c and core.c (6.12; 6.1 decides alike).
 */
import { type Fault, invariant } from '../../base/index.ts';
import { remove } from '../arena.ts';
import type { Attachment, KlpPatch, KlpState, KlpTransition, Replacement } from '../model/state.ts';
import { LIVEPATCH_IN_TRANSITION } from '../rules/livepatch.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { dropReplacement, pushReplacement } from './stack.ts';
import { letTasksGoOn, obstacle, SIGNALS_TIMEOUT, sendSignals, updatePatchState } from './tasks.ts';

const other = (state: KlpState): KlpState => (state === 'patched' ? 'unpatched' : 'patched');

export const patchOf = (txn: Txn, attachment: string): KlpPatch | undefined =>
  txn.livepatching.patches.find((each) => each.attachment === attachment);

function setPatch(txn: Txn, patch: KlpPatch): void {
  const patches = txn.livepatching.patches.map((each) => (each.attachment === patch.attachment ? patch : each));
  txn.livepatching = { ...txn.livepatching, patches };
}

const setTransition = (txn: Txn, transition: KlpTransition | undefined): void => {
  txn.livepatching = { ...txn.livepatching, transition };
};

function transitionOf(txn: Txn): KlpTransition {
  const { transition } = txn.livepatching;
  invariant(transition !== undefined, 'a transition is going on');
  return transition;
}

/** Why no transition can begin: there is one. */
export function transitionFault(txn: Txn): Fault | undefined {
  const { transition } = txn.livepatching;
  if (transition === undefined) return undefined;
  const name = patchOf(txn, transition.attachment)?.name ?? transition.attachment;
  return refuse(LIVEPATCH_IN_TRANSITION, {
    detail: `The patch ${name} is being ${transition.target}, and there is one transition at a time.`,
    holders: txn.holders([transition.attachment]),
  });
}

/** klp_init_transition: every task is on the side that is to be left. */
function init(txn: Txn, attachment: string, target: KlpState): void {
  setTransition(txn, { attachment, target, attempts: 0, signals: 0 });
  for (const task of [...txn.tasks.values()])
    txn.tasks.set(task.id, { ...task, patchState: other(target), isPatchPending: false });
}

/** klp_start_transition. */
function start(txn: Txn): void {
  const { target } = transitionOf(txn);
  for (const task of [...txn.tasks.values()])
    txn.tasks.set(task.id, { ...task, isPatchPending: task.patchState !== target });
  setTransition(txn, { ...transitionOf(txn), attempts: 0 });
}

/** klp_add_nops: what older patches change and this one does not goes back to the original with it. */
function nopsOf(txn: Txn, patch: KlpPatch): KlpPatch['funcs'] {
  const own = new Set(patch.funcs.map((each) => each.func));
  const nops = new Map<number, KlpPatch['funcs'][number]>();
  for (const old of txn.livepatching.patches)
    for (const each of old.funcs) if (!own.has(each.func)) nops.set(each.func, each);
  return [...nops.values()];
}

/**
 * klp_enable_patch.
 *   1. Only when no transition is going on.
 *   2. A cumulative patch gets nops for what only others change.
 *   3. All tasks begin unpatched; the functions go onto their stacks, and the first patch of a function claims IPMODIFY.
 *   4. Tasks are told to go over, and a first attempt is made to switch them all.
 */
export function enablePatch(txn: Txn, patch: KlpPatch, replacement: Replacement): Fault | undefined {
  const busy = transitionFault(txn);
  if (busy !== undefined) return busy;
  const nops = patch.isReplace ? nopsOf(txn, patch) : [];
  txn.livepatching = { ...txn.livepatching, patches: [...txn.livepatching.patches, patch] };
  init(txn, patch.attachment, 'patched');
  for (const { func, site } of patch.funcs) {
    const fault = pushReplacement(txn, func, site, replacement);
    if (fault !== undefined) return fault;
  }
  for (const { func, site } of nops) {
    const size = txn.world.image.symbols.containing(func)?.size ?? 0;
    const fault = pushReplacement(txn, func, site, { ...replacement, at: func, size, isNop: true });
    if (fault !== undefined) return fault;
  }
  start(txn);
  return tryCompleteTransition(txn);
}

/** __klp_disable_patch: any patch may go, not only the newest. */
export function disablePatch(txn: Txn, patch: KlpPatch): Fault | undefined {
  const busy = transitionFault(txn);
  if (busy !== undefined) return busy;
  init(txn, patch.attachment, 'unpatched');
  start(txn);
  setPatch(txn, { ...patch, isEnabled: false });
  return tryCompleteTransition(txn);
}

/** klp_reverse_transition: the tasks that went over have to come back, the others are where they are to be. The worker finds out. */
export function reverseTransition(txn: Txn): void {
  const { attachment, target } = transitionOf(txn);
  const patch = patchOf(txn, attachment);
  invariant(patch !== undefined, 'a patch in transition is on the list');
  setPatch(txn, { ...patch, isEnabled: !patch.isEnabled });
  setTransition(txn, { ...transitionOf(txn), target: other(target) });
  start(txn);
}

/**
 * klp_force_transition: the tasks that are left go over wherever they are. What they may still execute stays for good: the replacements of
 * a patch that goes, or of all that a cumulative one replaces. The worker ends the transition.
 */
export function forceTransition(txn: Txn): void {
  const { attachment, target } = transitionOf(txn);
  for (const task of [...txn.tasks.values()]) txn.tasks.set(task.id, updatePatchState(txn, task));
  const isReplace = patchOf(txn, attachment)?.isReplace === true;
  for (const patch of txn.livepatching.patches) {
    const isLeft =
      target === 'unpatched' ? patch.attachment === attachment : isReplace && patch.attachment !== attachment;
    if (isLeft) setPatch(txn, { ...patch, isForced: true });
  }
}

/**
 * klp_try_complete_transition.
 *   1. Every task that can be switched is.
 *   2. If one is left: at every fifteenth attempt the tasks that are left are sent a signal; another attempt follows in a second.
 *   3. If none is left the transition is over, and what it made superfluous is freed.
 */
export function tryCompleteTransition(txn: Txn): Fault | undefined {
  const transition = transitionOf(txn);
  let isComplete = true;
  for (const task of [...txn.tasks.values()])
    if (obstacle(txn, transition, task) !== undefined) isComplete = false;
    else txn.tasks.set(task.id, { ...task, patchState: transition.target, isPatchPending: false });
  if (isComplete) return completeTransition(txn);
  const isSignal = transition.attempts > 0 && transition.attempts % SIGNALS_TIMEOUT === 0;
  if (isSignal) sendSignals(txn);
  letTasksGoOn(txn);
  const signals = transition.signals + Number(isSignal);
  setTransition(txn, { ...transition, attempts: transition.attempts + 1, signals });
  return undefined;
}

/** klp_complete_transition. */
function completeTransition(txn: Txn): Fault | undefined {
  const { attachment, target } = transitionOf(txn);
  const patch = patchOf(txn, attachment);
  invariant(patch !== undefined, 'a patch in transition is on the list');
  const replaced = patch.isReplace && target === 'patched' ? olderThan(txn, patch) : [];
  const fault =
    target === 'unpatched'
      ? unpatch(txn, patch.attachment)
      : replacePatches(
          txn,
          patch,
          replaced.map((each) => each.attachment),
        );
  if (fault !== undefined) return fault;
  for (const task of [...txn.tasks.values()])
    txn.tasks.set(task.id, { ...task, patchState: undefined, isPatchPending: false });
  setTransition(txn, undefined);
  if (!patch.isEnabled) freePatch(txn, patch);
  for (const each of replaced) {
    freePatch(txn, each);
    unloadReplaced(txn, each);
  }
  return undefined;
}

function olderThan(txn: Txn, patch: KlpPatch): readonly KlpPatch[] {
  const { patches } = txn.livepatching;
  return patches.slice(
    0,
    patches.findIndex((each) => each.attachment === patch.attachment),
  );
}

/** klp_unpatch_objects. */
function unpatch(txn: Txn, attachment: string, options: { readonly nopsOnly?: boolean } = {}): Fault | undefined {
  // A copy: dropping changes the map that is walked.
  for (const func of [...txn.livepatches.keys()]) {
    const fault = dropReplacement(txn, func, attachment, options);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** klp_unpatch_replaced_patches, then klp_discard_nops. */
function replacePatches(txn: Txn, patch: KlpPatch, replaced: readonly string[]): Fault | undefined {
  for (const attachment of replaced) {
    const fault = unpatch(txn, attachment);
    if (fault !== undefined) return fault;
  }
  return patch.isReplace ? unpatch(txn, patch.attachment, { nopsOnly: true }) : undefined;
}

/** klp_free_patch_async: off the list; a forced one keeps its module. */
function freePatch(txn: Txn, patch: KlpPatch): void {
  const { livepatching } = txn;
  txn.livepatching = {
    ...livepatching,
    patches: livepatching.patches.filter((each) => each.attachment !== patch.attachment),
    forced: patch.isForced ? [...livepatching.forced, patch.attachment] : livepatching.forced,
  };
}

/** Nobody asked for a replaced patch any more: its module goes with it, if it can. */
function unloadReplaced(txn: Txn, patch: KlpPatch): void {
  const attachment: Attachment = txn.attachment(patch.attachment);
  if (patch.isForced) {
    txn.attachments.set(attachment.id, { ...attachment, isEnabled: false });
    txn.warnings.push(`The patch replaced ${attachment.id} of ${attachment.client}, whose code stays: it was forced.`);
    return;
  }
  for (const at of attachment.owned) remove(txn, at, ['rcu_tasks']);
  txn.attachments.delete(attachment.id);
  txn.replaced.push(attachment);
  txn.warnings.push(`The patch replaced ${attachment.id} of ${attachment.client}, which is detached.`);
}
