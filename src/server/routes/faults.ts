/** Faults injected by name: for tests, in a service that was started for it. Administrators only. */
import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { FaultBody, FaultPage, FaultsQuery, FaultView } from '../schemas/faults.ts';
import { IdParams } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

export function faultRoutes(app: App): void {
  app.post(
    '/v1/faults',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['faults'],
        summary: 'Arm a fault, in a service that was started with --inject-faults',
        body: FaultBody,
        response: { 201: FaultView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const armed = coordinatorOf(app).injectFault(callerOf(request, reply), defined(request.body));
      if (!armed.ok) return sendFault(reply, armed.fault);
      reply.header('location', `/v1/faults/${armed.value.id}`);
      return sendValue(reply, armed.value, 201);
    },
  );
  app.get(
    '/v1/faults',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['faults'],
        summary: 'Faults that are armed or have happened',
        querystring: FaultsQuery,
        response: { 200: FaultPage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).faults(pageRequest(request.query))),
  );
  app.delete(
    '/v1/faults/:id',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['faults'],
        summary: 'Take a fault back: what it holds up goes on, a clock that has jumped jumps back',
        params: IdParams,
        response: { 200: FaultView, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).removeFault(request.params.id)),
  );
}
