import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { IdParams } from '../schemas/requests.ts';
import { WorkloadBody, WorkloadPage, WorkloadsQuery, WorkloadView } from '../schemas/workloads.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

export function workloadRoutes(app: App): void {
  app.post(
    '/v1/workloads',
    {
      schema: {
        tags: ['workloads'],
        summary:
          'Start calls in the background, on simulated CPUs whose text changes under them while owners come and go',
        body: WorkloadBody,
        response: { 201: WorkloadView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { calls, ...rest } = request.body;
      const mix = calls.map(({ args = [], ...call }) => ({ ...defined(call), args }));
      const started = coordinatorOf(app).startWorkload(callerOf(request, reply), { ...defined(rest), calls: mix });
      if (!started.ok) return sendFault(reply, started.fault);
      reply.header('location', `/v1/workloads/${started.value.id}`);
      return sendValue(reply, started.value, 201);
    },
  );
  app.delete(
    '/v1/workloads/:id',
    {
      schema: {
        tags: ['workloads'],
        summary: 'Stop a workload; answers when every call has ended that had begun',
        params: IdParams,
        response: { 200: WorkloadView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).stopWorkload(callerOf(request, reply), request.params.id)),
  );
  app.get(
    '/v1/workloads',
    {
      schema: {
        tags: ['workloads'],
        summary: 'Workloads that run or whose figures are kept, newest first',
        querystring: WorkloadsQuery,
        response: { 200: WorkloadPage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).workloads(pageRequest(request.query))),
  );
  app.get(
    '/v1/workloads/:id',
    {
      schema: {
        tags: ['workloads'],
        summary: 'How many calls, who ran in them, and whether all was as it has to be',
        params: IdParams,
        response: { 200: WorkloadView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).workload(request.params.id)),
  );
}
