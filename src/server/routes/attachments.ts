import type { FastifyRequest } from 'fastify';
import { err, ok, type Result } from '../../base/index.ts';
import type { App } from '../app-type.ts';
import { sendFault, sendResult, sendValue } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { AttachAnswer, AttachmentPage, AttachmentView, DetachAnswer } from '../schemas/answers.ts';
import {
  AttachBody,
  AttachmentQuery,
  AttachmentsQuery,
  EnableBody,
  IdParams,
  SitesChoiceQuery,
} from '../schemas/requests.ts';
import { checkPlaceCount, checkTarget } from '../targets.ts';
import { callerOf, coordinatorOf, defined, pageRequest, problemResponses, readsOf } from './support.ts';

/** Attachments and plans may name many places. */
export const LARGE_BODY_BYTES = 8 << 20;

/** `If-Match: "7"` → 7; absent and `*` → undefined. */
export function ifMatch(request: FastifyRequest): Result<number | undefined> {
  const header = request.headers['if-match'];
  if (header === undefined || header === '*') return ok(undefined);
  const revision = /^"?(\d{1,15})"?$/.exec(header)?.[1];
  if (revision !== undefined) return ok(Number(revision));
  return err(edgeFault('http.header', `If-Match must be one site revision in quotes, not ${JSON.stringify(header)}.`));
}

export function attachmentRoutes(app: App): void {
  app.post(
    '/v1/attachments',
    {
      bodyLimit: LARGE_BODY_BYTES,
      preValidation: (request, reply, done) => {
        const fault = checkPlaceCount(request.body);
        if (fault === undefined) done();
        else sendFault(reply, fault);
      },
      schema: {
        tags: ['attachments'],
        summary: 'Attach. Optional headers: Idempotency-Key, If-Match with the site’s revision',
        querystring: SitesChoiceQuery,
        body: AttachBody,
        response: { 201: AttachAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const wrongTarget = checkTarget(request.body);
      if (wrongTarget !== undefined) return sendFault(reply, wrongTarget);
      const revision = ifMatch(request);
      if (!revision.ok) return sendFault(reply, revision.fault);
      const { pinned, ...wanted } = request.body;
      const attached = await coordinatorOf(app).attach(callerOf(request, reply), defined(wanted), {
        ...defined({ ifMatch: revision.value, pinned }),
        allSites: request.query.sites === 'full',
      });
      if (!attached.ok) return sendFault(reply, attached.fault);
      reply.header('location', `/v1/attachments/${attached.value.id}`);
      return sendValue(reply, attached.value, 201);
    },
  );
  readRoutes(app);
  changeRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    '/v1/attachments',
    {
      schema: {
        tags: ['attachments'],
        summary: 'Attachments',
        querystring: AttachmentsQuery,
        response: { 200: AttachmentPage, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { client, kind, place, at } = request.query;
      const query = { ...defined({ client, kind, place }), ...pageRequest(request.query) };
      const reads = await readsOf(app, at);
      return sendResult(reply, reads.ok ? reads.value.attachments(query) : reads);
    },
  );

  app.get(
    '/v1/attachments/:id',
    {
      schema: {
        tags: ['attachments'],
        summary: 'One attachment',
        params: IdParams,
        querystring: AttachmentQuery,
        response: { 200: AttachmentView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { at, sites } = request.query;
      const reads = await readsOf(app, at);
      return sendResult(reply, reads.ok ? reads.value.attachment(request.params.id, sites === 'full') : reads);
    },
  );
}

function changeRoutes(app: App): void {
  app.patch(
    '/v1/attachments/:id',
    {
      schema: {
        tags: ['attachments'],
        summary: 'Disarm (enabled: false) or arm again; of a livepatch: begin, reverse or force a transition',
        params: IdParams,
        body: EnableBody,
        response: { 200: AttachmentView, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { enabled, pinned } = request.body;
      const coordinator = coordinatorOf(app);
      const caller = callerOf(request, reply);
      if (Object.keys(request.body).length !== 1)
        return sendFault(reply, edgeFault('http.schema', 'body: give one of `enabled`, `force` and `pinned`.'));
      if (pinned !== undefined) return sendResult(reply, await coordinator.pin(caller, request.params.id, pinned));
      if (enabled === undefined) return sendResult(reply, await coordinator.force(caller, request.params.id));
      return sendResult(reply, await coordinator.setEnabled(caller, request.params.id, enabled));
    },
  );

  app.delete(
    '/v1/attachments/:id',
    {
      schema: {
        tags: ['attachments'],
        summary: 'Detach; answers what was restored',
        params: IdParams,
        querystring: SitesChoiceQuery,
        response: { 200: DetachAnswer, ...problemResponses },
      },
    },
    async (request, reply) => {
      const allSites = request.query.sites === 'full';
      return sendResult(
        reply,
        await coordinatorOf(app).detach(callerOf(request, reply), request.params.id, {
          allSites,
          untilUnoptimized: true,
        }),
      );
    },
  );
}
