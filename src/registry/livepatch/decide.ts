/** Decisions about a transition that no attach or detach makes: its worker's attempts, and force. */
import { type Fault, invariant, type ReadableText } from '../../base/index.ts';
import { advanceLingering } from '../arena.ts';
import { bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded, refused } from '../decision.ts';
import type { Attachment, KernelState } from '../model/state.ts';
import { LIVEPATCH_NOT_IN_TRANSITION } from '../rules/livepatch.ts';
import { ATTACHMENT_NOT_SWITCHABLE, ATTACHMENT_UNKNOWN } from '../rules/request.ts';
import { refuse } from '../rules/rule.ts';
import { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import { forceTransition, tryCompleteTransition } from './transition.ts';

export type TransitionDecision = DecisionOf<{ readonly attachment: Attachment }>;

/** Milliseconds between two attempts of the worker: HZ jiffies. */
export const TRANSITION_RETRY_MS = 1_000;

function decide(
  world: World,
  state: KernelState,
  text: ReadableText,
  step: (txn: Txn) => Fault | undefined,
): TransitionDecision {
  const { transition } = state.livepatching;
  return guarded<{ readonly attachment: Attachment }>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const attachment = txn.attachment(transition?.attachment ?? '');
    const fault = step(txn);
    if (fault !== undefined) return refused(state, fault);
    // A signal may have brought tasks out of the kernel.
    advanceLingering(txn);
    for (const site of attachment.sites) txn.touched.add(site);
    return {
      outcome: { kind: 'granted', attachment },
      state: txn.finish(),
      ops: txn.ops,
      warnings: txn.warnings,
      replaced: txn.replaced,
    };
  });
}

/** klp_transition_work_fn: another attempt to complete the transition. There must be one. */
export function decideTransitionWork(world: World, state: KernelState, text: ReadableText): TransitionDecision {
  invariant(state.livepatching.transition !== undefined, 'a transition is going on');
  return decide(world, state, text, tryCompleteTransition);
}

/** force_store. */
export function decideForce(world: World, state: KernelState, text: ReadableText, id: string): TransitionDecision {
  const attachment = state.attachments.get(id);
  if (attachment === undefined)
    return refused(state, refuse(ATTACHMENT_UNKNOWN, { detail: `${id} is not an attachment.` }));
  if (attachment.kind !== 'livepatch')
    return refused(
      state,
      refuse(ATTACHMENT_NOT_SWITCHABLE, { detail: `${attachment.kind} has no transition to force.` }),
    );
  if (state.livepatching.transition?.attachment !== id)
    return refused(state, refuse(LIVEPATCH_NOT_IN_TRANSITION, { detail: `${id} is not in transition.` }));
  return decide(world, state, text, (txn) => {
    forceTransition(txn);
    return undefined;
  });
}
