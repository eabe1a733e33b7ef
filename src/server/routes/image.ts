import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { AuditView, ImageView, ResetAnswer, TextMutexView } from '../schemas/answers.ts';
import { EmptyBody, ResetQuery } from '../schemas/requests.ts';
import { callerOf, coordinatorOf, problemResponses } from './support.ts';

export function imageRoutes(app: App): void {
  app.get(
    '/v1/image',
    {
      schema: {
        tags: ['image'],
        summary: 'The kernel that was loaded',
        response: { 200: ImageView, ...problemResponses },
      },
    },
    async (_request, reply) => sendValue(reply, coordinatorOf(app).image()),
  );

  app.post(
    '/v1/image/reset',
    {
      schema: {
        tags: ['image'],
        summary: 'Back to pristine text: detaches everything of the caller’s tenant, or with all=true of everyone',
        querystring: ResetQuery,
        body: EmptyBody,
        response: { 200: ResetAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const all = request.query.all === true;
      const caller = callerOf(request, reply);
      if (all && !caller.isAdmin)
        return sendFault(reply, edgeFault('http.role', 'Resetting everyone’s attachments needs the role admin.'));
      return sendResult(reply, await coordinatorOf(app).reset(caller, all));
    },
  );

  app.get(
    '/v1/audit',
    {
      schema: {
        tags: ['image'],
        summary: 'Compares all text with what its owners account for',
        response: { 200: AuditView, ...problemResponses },
      },
    },
    async (_request, reply) => sendValue(reply, coordinatorOf(app).audit()),
  );

  app.get(
    '/v1/text-mutex',
    {
      schema: {
        tags: ['image'],
        summary: 'Who holds text_mutex, who waits for it',
        response: { 200: TextMutexView, ...problemResponses },
      },
    },
    async (_request, reply) => sendValue(reply, coordinatorOf(app).textMutex()),
  );
}
