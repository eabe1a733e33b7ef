import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { invariant, ok, type Result } from '../../base/index.ts';
import type { AbortNotice, Caller, Coordinator, PageRequest, ReadCalls } from '../../coordinator/index.ts';
import type { App } from '../app-type.ts';
import { sendFault } from '../problem.ts';
import { edgeFault } from '../rules.ts';
import { Problem } from '../schemas/answers.ts';
import type { RequestCaller } from '../services.ts';
import type { ServiceState } from '../state.ts';

/** The error answers that every route can give, for the published document. */
export const problemResponses = {
  '4xx': { description: 'Refused', content: { 'application/problem+json': { schema: Problem } } },
  '5xx': {
    description: 'Not now, or a bug of the service',
    content: { 'application/problem+json': { schema: Problem } },
  },
} as const;

export const LIMIT_DEFAULT = 100;

export const pageRequest = (query: { readonly limit?: number; readonly cursor?: string }): PageRequest => ({
  limit: query.limit ?? LIMIT_DEFAULT,
  ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
});

/** Drops what is undefined: an absent parameter and one set to undefined are not the same to the coordinator. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** The coordinator; only for routes below {@link requireReady}. */
export function coordinatorOf(app: App): Coordinator {
  const coordinator = app.services.state.coordinator();
  invariant(coordinator !== undefined, 'a route ran before the image was loaded');
  return coordinator;
}

/** What only looks at the kernel: as it is, or as it was at an event. */
export async function readsOf(app: App, at: number | undefined): Promise<Result<ReadCalls>> {
  const coordinator = coordinatorOf(app);
  return at === undefined ? ok(coordinator) : coordinator.readsAt(at);
}

/** Refuses what needs an image while there is none. */
export function requireReady(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const { state } = request.server.services;
  if (state.current().phase === 'ready') done();
  else sendNotReady(reply, state);
}

export function sendNotReady(reply: FastifyReply, state: ServiceState): FastifyReply {
  const phase = state.current();
  if (phase.phase === 'failed') return sendFault(reply, edgeFault('service.failed', phase.fault.detail));
  const progress = phase.phase === 'loading' ? phase.progress : undefined;
  const how = progress === undefined ? 'just begun' : `${progress.step}, ${progress.done} of ${progress.total}`;
  return sendFault(reply, edgeFault('service.loading', `The kernel image is being loaded: ${how}.`));
}

/** A caller of the edge as the coordinator knows one. */
export const wireCaller = (request: FastifyRequest, who: RequestCaller): Caller => ({
  client: who.client,
  tenant: who.tenant,
  isAdmin: who.role === 'admin',
  requestId: request.id,
  ...(who.session === undefined ? {} : { session: who.session }),
  ...(who.deadlineMs === undefined ? {} : { deadlineMs: who.deadlineMs }),
});

/**
 * Who asks, for the coordinator. Its signal aborts when the client goes away before the answer; not for a request with an
 * Idempotency-Key, whose answer a repeat may be waiting for.
 */
export function callerOf(request: FastifyRequest, reply: FastifyReply): Caller {
  const who: RequestCaller = request.caller ?? { client: 'anonymous', tenant: 'default', role: 'read' };
  const caller = wireCaller(request, who);
  const { idempotency } = request;
  if (idempotency !== undefined)
    return { ...caller, idempotency: { scope: idempotency.scope, hash: idempotency.hash } };
  return { ...caller, signal: new ClientGone(reply.raw) };
}

/** Aborts when the client goes away before it has its answer. Only those who have to wait pay for listening. */
class ClientGone implements AbortNotice {
  readonly #response: ServerResponse;
  #listening: Map<() => void, () => void> | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get aborted(): boolean {
    return this.#response.destroyed && !this.#response.writableFinished;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    const onClose = (): void => {
      if (!this.#response.writableFinished) listener();
    };
    this.#listening ??= new Map();
    this.#listening.set(listener, onClose);
    this.#response.once('close', onClose);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const onClose = this.#listening?.get(listener);
    if (onClose !== undefined) this.#response.off('close', onClose);
  }
}
