import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { IdParams } from '../schemas/requests.ts';
import {
  SessionAnswer,
  SessionBody,
  SessionEndAnswer,
  SessionPage,
  SessionsQuery,
  SessionView,
} from '../schemas/sessions.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses } from './support.ts';

export function sessionRoutes(app: App): void {
  app.post(
    '/v1/sessions',
    {
      schema: {
        tags: ['sessions'],
        summary: 'Open a session: what is attached with it in x-ktextd-session is detached when it ends',
        body: SessionBody,
        response: { 201: SessionAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const opened = await coordinatorOf(app).openSession(callerOf(request, reply), defined(request.body));
      return opened.ok ? sendValue(reply, opened.value, 201) : sendFault(reply, opened.fault);
    },
  );
  app.put(
    '/v1/sessions/:id/heartbeat',
    {
      schema: {
        tags: ['sessions'],
        summary: 'Start its time to live anew',
        params: IdParams,
        response: { 200: SessionView, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, coordinatorOf(app).heartbeat(callerOf(request, reply), request.params.id)),
  );
  app.delete(
    '/v1/sessions/:id',
    {
      schema: {
        tags: ['sessions'],
        summary: 'End a session, and detach what it holds and has not pinned',
        params: IdParams,
        response: { 200: SessionEndAnswer, ...problemResponses },
      },
    },
    async (request, reply) =>
      sendResult(reply, await coordinatorOf(app).endSession(callerOf(request, reply), request.params.id)),
  );
  app.get(
    '/v1/sessions',
    {
      schema: {
        tags: ['sessions'],
        summary: 'Sessions, without their secrets',
        querystring: SessionsQuery,
        response: { 200: SessionPage, ...problemResponses },
      },
    },
    async (request, reply) => sendResult(reply, coordinatorOf(app).sessions(pageRequest(request.query))),
  );
}
