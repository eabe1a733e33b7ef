import type { App } from '../app-type.ts';
import { sendResult } from '../problem.ts';
import { CallAnswer, CallBody } from '../schemas/calls.ts';
import { callerOf, coordinatorOf, defined, problemResponses } from './support.ts';

export function callRoutes(app: App): void {
  app.post(
    '/v1/calls',
    {
      schema: {
        tags: ['calls'],
        summary: 'Calls a function of the kernel on a simulated CPU: who fires, in which order, and what comes back',
        body: CallBody,
        response: { 200: CallAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { args = [], ...rest } = request.body;
      return sendResult(reply, await coordinatorOf(app).call(callerOf(request, reply), { ...defined(rest), args }));
    },
  );
}
