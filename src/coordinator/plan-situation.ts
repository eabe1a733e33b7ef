import { type AttachRequest, type Decision, decideAttach, decideDetach, type KernelState } from '../registry/index.ts';
import type { PlanKernel } from './kernel.ts';
import { ForkText } from './plan-text.ts';
import type { Caller, PlanStep } from './service.ts';

/** A kernel as it would be: what decisions read and lead to. Reading one is safe until the real kernel's text changes. */
export interface Situation {
  readonly state: KernelState;
  readonly text: ForkText;
}

export const present = (kernel: PlanKernel): Situation => ({ state: kernel.state, text: ForkText.over(kernel.text) });

export const after = (situation: Situation, decision: Decision): Situation => ({
  state: decision.state,
  text: situation.text.after(decision.ops),
});

/** The id that the attachment of a step has while it is planned. */
export const plannedId = (index: number): string => `plan:${index}`;

const PLANNED = /^plan:(\d{1,9})$/;

/** The step behind a planned id. */
export function stepOf(id: string): number | undefined {
  const found = PLANNED.exec(id)?.[1];
  return found === undefined ? undefined : Number(found);
}

export interface TrialIdentity {
  readonly id: string;
  readonly client: string;
  readonly tenant: string;
  /** Added to the next real sequence number: later ones are newer. */
  readonly ahead: number;
}

export function tryAttach(
  kernel: PlanKernel,
  situation: Situation,
  request: AttachRequest,
  identity: TrialIdentity,
): Decision {
  return decideAttach(kernel.world, situation.state, situation.text, {
    request,
    identity: { id: identity.id, client: identity.client, tenant: identity.tenant, nowMs: kernel.clock.now() },
    sequence: kernel.events.next + identity.ahead,
  });
}

export const tryDetach = (kernel: PlanKernel, situation: Situation, id: string): Decision =>
  decideDetach(kernel.world, situation.state, situation.text, id);

/** Decides one step of a plan; `position` is its turn, `index` its place in the request. Permissions are the caller's business. */
export function tryStep(
  kernel: PlanKernel,
  caller: Caller,
  situation: Situation,
  step: PlanStep,
  turn: { readonly index: number; readonly position: number },
): Decision {
  if ('detach' in step) return tryDetach(kernel, situation, step.detach);
  return tryAttach(kernel, situation, step.attach, {
    id: plannedId(turn.index),
    client: step.client ?? caller.client,
    tenant: caller.tenant,
    ahead: turn.position,
  });
}
