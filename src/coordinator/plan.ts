import { type Fault, ok, type ReadableText, type Result } from '../base/index.ts';
import {
  ATTACHMENT_NOT_YOURS,
  type Attachment,
  type Decision,
  decideAttach,
  decideDetach,
  forecast,
  OverlayText,
  readOnly,
  refuse,
} from '../registry/index.ts';
import { costAnswer, SITES_SHOWN, siteAnswers } from './answers.ts';
import type { Kernel } from './kernel.ts';
import { toProblem } from './problem.ts';
import type { Caller, PlanAnswer, PlanStep, PlanStepAnswer } from './service.ts';

const NO_COST = costAnswer({ pokes: 0, batches: 0, syncRounds: 0 });

/** Only its tenant and an administrator may change an attachment. */
export function notPermitted(caller: Caller, attachment: Attachment): Fault | undefined {
  if (caller.isAdmin || attachment.tenant === caller.tenant) return undefined;
  return refuse(ATTACHMENT_NOT_YOURS, { detail: `${attachment.id} belongs to another tenant.` });
}

function unknownSteps(kernel: Kernel, steps: readonly PlanStep[], version: string): PlanAnswer {
  const { world } = kernel;
  return {
    steps: steps.map((_, index) => ({
      index,
      verdict: 'unknown',
      sites: [],
      siteCount: 0,
      cost: NO_COST,
      warnings: [`The rules of ${version} are not built; this image is decided by those of ${world.kernel}.`],
    })),
    wouldSucceed: false,
    kernel: version,
    profile: world.image.profile.name,
    strictness: world.strictness,
  };
}

function refusal(kernel: Kernel, index: number, fault: Fault, warnings: readonly string[]): PlanStepAnswer {
  return {
    index,
    verdict: 'refused',
    errno: fault.errno,
    rule: fault.rule,
    problem: toProblem(kernel.world, fault),
    sites: [],
    siteCount: 0,
    cost: NO_COST,
    warnings,
  };
}

function stepAnswer(
  kernel: Kernel,
  index: number,
  decision: Decision,
  before: ReadableText,
  after: ReadableText,
): PlanStepAnswer {
  if (decision.outcome.kind === 'refused') return refusal(kernel, index, decision.outcome.fault, decision.warnings);
  const { attachment, verdict } = decision.outcome;
  const shown = attachment.sites.slice(0, SITES_SHOWN);
  return {
    index,
    verdict: verdict === 'changed' ? 'attached' : verdict,
    sites: siteAnswers(readOnly(kernel.world, decision.state, after), shown, before, after),
    siteCount: attachment.sites.length,
    cost: costAnswer(forecast(decision.ops)),
    warnings: decision.warnings,
  };
}

/**
 * Decides each step as if the earlier ones had happened, by the functions that attaching uses, on a copy of nothing: the state is persistent
 * and text is read through overlays. An attachment of step 2 is `plan:2` for later steps.
 */
export function plan(kernel: Kernel, caller: Caller, steps: readonly PlanStep[], version?: string): Result<PlanAnswer> {
  const { world } = kernel;
  if (version !== undefined && version !== world.kernel) return ok(unknownSteps(kernel, steps, version));
  let { state } = kernel;
  let text: ReadableText = kernel.text;
  const answers: PlanStepAnswer[] = [];
  for (const [index, step] of steps.entries()) {
    const before = text;
    const forbidden = 'detach' in step ? state.attachments.get(step.detach) : undefined;
    const fault = forbidden === undefined ? undefined : notPermitted(caller, forbidden);
    if (fault !== undefined) {
      answers.push(refusal(kernel, index, fault, []));
      continue;
    }
    const identity = {
      id: `plan:${index}`,
      client: step.client ?? caller.client,
      tenant: caller.tenant,
      nowMs: kernel.clock.now(),
    };
    const decision =
      'detach' in step
        ? decideDetach(world, state, text, step.detach)
        : decideAttach(world, state, text, { request: step.attach, identity, sequence: kernel.events.next + index });
    if (decision.ops.length > 0) {
      const overlay = new OverlayText(text);
      for (const op of decision.ops) overlay.apply(op);
      text = overlay;
    }
    state = decision.state;
    answers.push(stepAnswer(kernel, index, decision, before, text));
  }
  return ok({
    steps: answers,
    wouldSucceed: answers.every((answer) => answer.verdict !== 'refused' && answer.verdict !== 'unknown'),
    kernel: world.kernel,
    profile: world.image.profile.name,
    strictness: world.strictness,
  });
}
