import type { FastifyRequest } from 'fastify';
import { err, ok, type Result } from '../../base/index.ts';
import { type Coordinator, EVENT_TYPES, type EventType } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { PROGRESS } from '../event-hub.ts';
import { sendFault } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { EventsQuery } from '../schemas/requests.ts';
import { coordinatorOf, problemResponses } from './support.ts';

function readTypes(text: string | undefined): Result<ReadonlySet<string> | undefined> {
  if (text === undefined) return ok(undefined);
  const types = text.split(',').map((t) => t.trim());
  const unknown = types.find((t) => t !== PROGRESS && !EVENT_TYPES.includes(t as EventType));
  if (unknown === undefined) return ok(new Set(types));
  const detail = `query/types: ${JSON.stringify(unknown)} is none of ${[...EVENT_TYPES, PROGRESS].join(', ')}.`;
  return err(edgeFault('http.schema', detail));
}

/** Where to begin: Last-Event-ID (a browser that reconnects keeps the old query), else `after`, else now. */
function readPosition(request: FastifyRequest, after: number | undefined, coordinator: Coordinator): Result<number> {
  const { first, last } = coordinator.eventRange();
  const header = request.headers['last-event-id'];
  if (header !== undefined && !(typeof header === 'string' && /^\d{1,15}$/.test(header))) {
    return err(edgeFault('http.header', 'Last-Event-ID must be an event sequence.'));
  }
  const position = header !== undefined ? Number(header) : after;
  if (position === undefined) return ok(last);
  if (position + 1 < first) {
    return err(
      edgeFault('events.compacted', `Events after ${position} were asked for; the oldest retained is ${first}.`),
    );
  }
  if (position > last) {
    return err(edgeFault('events.compacted', `Event ${position} has not happened here; the newest is ${last}.`));
  }
  return ok(position);
}

export function eventRoutes(app: App): void {
  app.get(
    '/v1/events',
    {
      exposeHeadRoute: false,
      schema: {
        tags: ['events'],
        summary:
          'Server-Sent Events: id is the sequence, Last-Event-ID or after resumes, 410 when that is no longer retained',
        querystring: EventsQuery,
        response: {
          200: { description: 'A stream', content: { 'text/event-stream': { schema: { type: 'string' } } } },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const { events } = app.services;
      const types = readTypes(request.query.types);
      if (!types.ok) return sendFault(reply, types.fault);
      const position = readPosition(request, request.query.after, coordinatorOf(app));
      if (!position.ok) return sendFault(reply, position.fault);
      if (events.isFull())
        return sendFault(reply, edgeFault('events.too-many-readers', `${events.readers} streams are open.`));
      reply.hijack();
      reply.raw.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        'x-request-id': request.id,
        connection: 'close',
      });
      events.add(reply.raw, position.value, types.value);
      return reply;
    },
  );
}
