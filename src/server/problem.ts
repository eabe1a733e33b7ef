/** Faults as RFC 9457 problem documents. Every error answer of the service is made here. */
import type { FastifyReply } from 'fastify';
import type { Fault, Result } from '../base/index.ts';
import type { Coordinator, Problem, Strictness } from '../coordinator/index.ts';
import { edgeTitle, isEdgeRule } from './rules.ts';
import { httpStatus, retryAfterSeconds } from './status.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Where in a request the schema did not hold. */
export interface SchemaError {
  /** `body`, `querystring`, `params` or `headers`. */
  readonly in: string;
  /** JSON pointer into that part. */
  readonly path: string;
  readonly schemaPath: string;
  readonly message: string;
}

/** What goes out: {@link Problem} and what only the edge knows. Before an image is loaded, profile, kernel and strictness are null. */
export interface ProblemDocument extends Omit<Problem, 'profile' | 'kernel' | 'strictness'> {
  readonly status: number;
  readonly requestId: string;
  readonly profile: string | null;
  readonly kernel: string | null;
  readonly strictness: Strictness | null;
  readonly errors?: readonly SchemaError[];
}

export interface ProblemContext {
  readonly coordinator: Coordinator | undefined;
  readonly requestId: string;
  readonly errors?: readonly SchemaError[];
}

export function problemDocument(fault: Fault, context: ProblemContext): ProblemDocument {
  const edge = { status: httpStatus(fault), requestId: context.requestId };
  const errors = context.errors === undefined ? {} : { errors: context.errors };
  if (context.coordinator !== undefined && !isEdgeRule(fault.rule)) {
    return { ...context.coordinator.problem(fault), ...edge, ...errors };
  }
  const image = context.coordinator?.image();
  return {
    type: `/v1/rules/${fault.rule}`,
    title: isEdgeRule(fault.rule) ? edgeTitle(fault.rule) : fault.rule,
    detail: fault.detail,
    errno: fault.errno,
    rule: fault.rule,
    linux: fault.linux ?? null,
    holders: fault.holders ?? [],
    place: fault.place ?? null,
    remedies: fault.remedies ?? [],
    index: fault.index ?? null,
    expected: fault.expected ?? null,
    actual: fault.actual ?? null,
    log: fault.log ?? null,
    profile: image?.profile ?? null,
    kernel: image?.kernel ?? null,
    strictness: image?.strictness ?? null,
    ...edge,
    ...errors,
  };
}

/** Ends the reply with a problem document. */
export function sendFault(reply: FastifyReply, fault: Fault, errors?: readonly SchemaError[]): FastifyReply {
  const context = reply.server.services;
  const document = problemDocument(fault, {
    coordinator: context.state.coordinator(),
    requestId: reply.request.id,
    ...(errors === undefined ? {} : { errors }),
  });
  reply.header('x-request-id', reply.request.id);
  const retry = retryAfterSeconds(fault);
  if (retry !== undefined) reply.header('retry-after', String(retry));
  if (fault.rule === 'http.token') reply.header('www-authenticate', 'Bearer');
  return reply.code(document.status).type(PROBLEM_TYPE).send(JSON.stringify(document));
}

/** Ends the reply with an answer as it is; the published schema describes it, nothing is dropped from it. */
export const sendValue = (reply: FastifyReply, value: unknown, status = 200): FastifyReply =>
  reply.code(status).send(value);

/** Ends the reply with a result: 200 and the value, or the problem. */
export function sendResult<T>(reply: FastifyReply, result: Result<T>): FastifyReply {
  return result.ok ? sendValue(reply, result.value) : sendFault(reply, result.fault);
}
