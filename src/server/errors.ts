/** Everything that is not a route's own answer: unknown paths and methods, bodies that cannot be read, our own bugs. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type Fault, InvariantViolation } from '../base/index.ts';
import type { App } from './app-type.ts';
import { PROBLEM_TYPE, problemDocument, sendFault } from './problem.ts';
import { edgeFault } from './rules.ts';
import { schemaErrors, schemaErrorText } from './schema-errors.ts';

const FAULTS: Readonly<Record<string, (error: FastifyError) => Fault>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () => edgeFault('http.content-type', 'The body is not application/json.'),
  FST_ERR_CTP_BODY_TOO_LARGE: () => edgeFault('http.body-too-large', 'The body is larger than this call takes.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    edgeFault('http.malformed', 'The body is not as long as Content-Length says.'),
  FST_ERR_BAD_URL: () => edgeFault('http.malformed', 'The URL is not well formed (a stray %?).'),
  FST_ERR_MAX_PARAM_LENGTH: () => edgeFault('http.malformed', 'A part of the path is longer than any name.'),
  // The client went away in the middle of its body; nobody reads this answer.
  ECONNRESET: () => edgeFault('http.malformed', 'The body ended before it was whole.'),
  FST_ERR_ASYNC_CONSTRAINT: () => edgeFault('http.malformed', 'The request cannot be routed.'),
};

/** Thrown by the body parser. */
export class BodySyntaxError extends Error {
  override readonly name = 'BodySyntaxError';
}

export function onError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.validation !== undefined) {
    const errors = schemaErrors(error.validationContext ?? 'body', error.validation);
    return sendFault(reply, edgeFault('http.schema', `${schemaErrorText(errors)}.`), errors);
  }
  if (error instanceof BodySyntaxError) return sendFault(reply, edgeFault('http.json', error.message));
  const known = FAULTS[error.code];
  if (known !== undefined) return sendFault(reply, known(error));
  const { log } = request.server.services;
  if (error instanceof InvariantViolation) {
    log.fatal({ requestId: request.id, err: error }, 'invariant violated');
    return sendFault(reply, edgeFault('service.poisoned', error.message));
  }
  log.error({ requestId: request.id, err: error }, 'request failed');
  return sendFault(reply, edgeFault('service.internal', `The request failed; the log has it as ${request.id}.`));
}

interface KnownRoute {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/** Remembers every route, so that a known path with another method gets 405 and Allow. Must run before routes are added. */
export function installNotFound(app: App): void {
  const routes = new Map<string, KnownRoute>();
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = url
      .split('/')
      .map((part) => (part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.+]/g, '\\$&')));
    const known = routes.get(url) ?? { pattern: new RegExp(`^${pattern.join('/')}$`), methods: new Set() };
    routes.set(url, known);
    for (const m of [method].flat()) known.methods.add(m);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const methods = [...routes.values()].filter((r) => r.pattern.test(path)).flatMap((r) => [...r.methods]);
    if (methods.length === 0) return sendFault(reply, edgeFault('http.not-found', `Nothing is at ${path}.`));
    const allow = [...new Set(methods)].sort().join(', ');
    reply.header('allow', allow);
    return sendFault(reply, edgeFault('http.method', `${path} does not have ${request.method}; it has ${allow}.`));
  });
}

/** Answers on the bare socket, for what the HTTP parser refuses before there is a request. */
export function onClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  const isOverflow = error.code === 'HPE_HEADER_OVERFLOW';
  const status = isTimeout ? 408 : isOverflow ? 431 : 400;
  const detail = isTimeout
    ? 'The request did not arrive in time.'
    : isOverflow
      ? 'The headers are too large.'
      : 'The request is not HTTP.';
  const document = problemDocument(edgeFault('http.malformed', detail), { coordinator: undefined, requestId: 'none' });
  const body = JSON.stringify({ ...document, status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
