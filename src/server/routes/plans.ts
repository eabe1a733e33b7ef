import type { Static } from 'typebox';
import { err, type Fault, ok, type Result } from '../../base/index.ts';
import type { PlanAnswer as CoordinatorPlan, PlanStep, Problem } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { sendFault, sendValue } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { PlanAnswer } from '../schemas/answers.ts';
import { PlanBody, PlanQuery } from '../schemas/requests.ts';
import { httpStatus } from '../status.ts';
import { checkPlaceCount, checkTarget } from '../targets.ts';
import { LARGE_BODY_BYTES } from './attachments.ts';
import { callerOf, coordinatorOf, defined, problemResponses } from './support.ts';

type StepBody = Static<typeof PlanBody>['steps'][number];

function readStep(step: StepBody, index: number): Result<PlanStep> {
  const { attach, detach, client } = step;
  const label = defined({ client });
  if (attach !== undefined && detach === undefined) {
    const fault: Fault | undefined = checkTarget(attach, index);
    return fault === undefined ? ok({ ...label, attach: defined(attach) }) : err(fault);
  }
  if (detach !== undefined && attach === undefined) return ok({ ...label, detach });
  return err(edgeFault('http.schema', `body/steps/${index}: must have either attach or detach.`, { index }));
}

function readSteps(steps: readonly StepBody[]): Result<readonly PlanStep[]> {
  const read: PlanStep[] = [];
  for (const [index, step] of steps.entries()) {
    const result = readStep(step, index);
    if (!result.ok) return result;
    read.push(result.value);
  }
  return ok(read);
}

/** Each refused step's problem becomes the document that the attach itself would get. */
function withStatus(plan: CoordinatorPlan, requestId: string): unknown {
  const full = (problem: Problem) => ({ ...problem, status: httpStatus(problem), requestId });
  const steps = plan.steps.map((step) =>
    step.problem === undefined ? step : { ...step, problem: full(step.problem) },
  );
  const { conflict } = plan;
  return { ...plan, steps, ...(conflict === undefined ? {} : { conflict: { ...conflict, why: full(conflict.why) } }) };
}

export function planRoutes(app: App): void {
  app.post(
    '/v1/plans',
    {
      bodyLimit: LARGE_BODY_BYTES,
      config: { access: 'read' },
      preValidation: async (request, reply) => {
        const fault = checkPlaceCount(request.body);
        return fault === undefined ? undefined : sendFault(reply, fault);
      },
      schema: {
        tags: ['attachments'],
        summary: 'What would happen, step by step, or in which order all of it could; nothing is changed',
        querystring: PlanQuery,
        body: PlanBody,
        response: { 200: PlanAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const steps = readSteps(request.body.steps);
      if (!steps.ok) return sendFault(reply, steps.fault);
      const { kernel, solve } = request.query;
      const plan = coordinatorOf(app).plan(callerOf(request, reply), steps.value, kernel, defined({ solve }));
      if (!plan.ok) return sendFault(reply, plan.fault);
      return sendValue(reply, withStatus(plan.value, request.id));
    },
  );
}
