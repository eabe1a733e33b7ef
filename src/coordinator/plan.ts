import type { Fault } from '../base/index.ts';
import {
  ATTACHMENT_NOT_YOURS,
  type Attachment,
  BUILT_KERNELS,
  type Decision,
  KERNEL_UNSETTLED,
  readOnly,
  refuse,
} from '../registry/index.ts';
import { hexText, SITES_SHOWN, siteAnswers } from './answers.ts';
import type { PlanKernel } from './kernel.ts';
import { estimateOf, NO_COST, planCost } from './plan-cost.ts';
import { after, plannedId, present, type Situation, tryStep } from './plan-situation.ts';
import { toProblem } from './problem.ts';
import { type TrialBudget, trialBudget, withTriedRemedies } from './remedies.ts';
import type { Caller, PlanAnswer, PlanStep, PlanStepAnswer } from './service.ts';

/** Decisions that all refusals of one plan may spend on trying remedies. */
const TRIALS_OF_A_PLAN = 400;

/** Only its tenant and an administrator may change an attachment. */
export function notPermitted(caller: Caller, attachment: Attachment): Fault | undefined {
  if (caller.isAdmin || attachment.tenant === caller.tenant) return undefined;
  return refuse(ATTACHMENT_NOT_YOURS, { detail: `${attachment.id} belongs to another tenant.` });
}

/** What is answered when the rules of a version are not built: nothing is guessed. */
export function unknownSteps(kernel: PlanKernel, steps: readonly PlanStep[], version: string): PlanAnswer {
  const { world } = kernel;
  return {
    steps: steps.map((_, index) => ({
      index,
      verdict: 'unknown',
      sites: [],
      siteCount: 0,
      cost: NO_COST,
      warnings: [
        `The rules of ${version} are not built; there are those of ${BUILT_KERNELS.join(', ')}. This image is decided by ${world.kernel}.`,
      ],
    })),
    wouldSucceed: false,
    kernel: version,
    profile: world.image.profile.name,
    strictness: world.strictness,
  };
}

function refusal(kernel: PlanKernel, index: number, fault: Fault, warnings: readonly string[]): PlanStepAnswer {
  return {
    index,
    verdict: fault.rule === KERNEL_UNSETTLED.id ? 'unknown' : 'refused',
    errno: fault.errno,
    rule: fault.rule,
    problem: toProblem(kernel.world, fault),
    sites: [],
    siteCount: 0,
    cost: NO_COST,
    warnings,
  };
}

/** Why a step is refused before anything is decided: it detaches what belongs to another tenant. */
export function forbidden(caller: Caller, situation: Situation, step: PlanStep): Fault | undefined {
  const attachment = 'detach' in step ? situation.state.attachments.get(step.detach) : undefined;
  return attachment === undefined ? undefined : notPermitted(caller, attachment);
}

interface Turn {
  readonly index: number;
  readonly position: number;
  readonly step: PlanStep;
}

function refusedStep(
  kernel: PlanKernel,
  caller: Caller,
  before: Situation,
  turn: Turn,
  refused: { readonly fault: Fault; readonly warnings: readonly string[] },
  budget: TrialBudget,
): PlanStepAnswer {
  const { index, position, step } = turn;
  const { fault, warnings } = refused;
  if ('detach' in step) return refusal(kernel, index, fault, warnings);
  const isSpent = budget.left <= 0 && (fault.holders ?? []).length > 0;
  const identity = {
    id: plannedId(index),
    client: step.client ?? caller.client,
    tenant: caller.tenant,
    ahead: position,
  };
  const tried = withTriedRemedies(kernel, caller, { request: step.attach, fault, situation: before, identity }, budget);
  const untried = 'Remedies were not tried: this plan has too many refusals. Plan the step alone to get them.';
  return refusal(kernel, index, tried, isSpent ? [...warnings, untried] : warnings);
}

function grantedStep(
  kernel: PlanKernel,
  turn: Turn,
  decision: Decision & { readonly outcome: { readonly kind: 'granted' } },
  before: Situation,
  next: Situation,
): PlanStepAnswer {
  const { attachment, verdict } = decision.outcome;
  const shown = attachment.sites.slice(0, SITES_SHOWN);
  return {
    index: turn.index,
    verdict: verdict === 'changed' ? 'attached' : verdict,
    sites: siteAnswers(readOnly(kernel.world, next.state, next.text), shown, hexText(before.text), next.text),
    siteCount: attachment.sites.length,
    cost: planCost(decision.ops, estimateOf(attachment, verdict === 'detached'), next.state),
    warnings: decision.warnings,
  };
}

const isGranted = (decision: Decision): decision is Decision & { readonly outcome: { readonly kind: 'granted' } } =>
  decision.outcome.kind === 'granted';

/**
 * Decides each step as if the earlier ones had happened, by the functions that attaching uses, on a copy of nothing: state and text are
 * persistent values. `order` lists indexes into `steps`; an attachment of step 2 is `plan:2` for the other steps, whenever its turn is.
 */
export function planInOrder(
  kernel: PlanKernel,
  caller: Caller,
  steps: readonly PlanStep[],
  order: readonly number[],
): PlanAnswer {
  const { world } = kernel;
  const budget = trialBudget(TRIALS_OF_A_PLAN);
  let situation = present(kernel);
  const answers: PlanStepAnswer[] = [];
  for (const [position, index] of order.entries()) {
    const step = steps[index] as PlanStep;
    const before = situation;
    const fault = forbidden(caller, before, step);
    if (fault !== undefined) {
      answers.push(refusal(kernel, index, fault, []));
      continue;
    }
    const turn = { index, position, step };
    const decision = tryStep(kernel, caller, before, step, turn);
    situation = after(before, decision);
    if (isGranted(decision)) answers.push(grantedStep(kernel, turn, decision, before, situation));
    else if (decision.outcome.kind === 'refused') {
      const refused = { fault: decision.outcome.fault, warnings: decision.warnings };
      answers.push(refusedStep(kernel, caller, before, turn, refused, budget));
    }
  }
  return {
    steps: answers,
    wouldSucceed: answers.every((answer) => answer.verdict !== 'refused' && answer.verdict !== 'unknown'),
    kernel: world.kernel,
    profile: world.image.profile.name,
    strictness: world.strictness,
  };
}

/** Each step as if the earlier ones had happened. */
export const plan = (kernel: PlanKernel, caller: Caller, steps: readonly PlanStep[]): PlanAnswer =>
  planInOrder(kernel, caller, steps, [...steps.keys()]);
