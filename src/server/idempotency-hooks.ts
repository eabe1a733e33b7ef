import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RecoveredAnswer } from '../coordinator/index.ts';
import type { App } from './app-type.ts';
import { createIdempotencyStore, type RestoredAnswer, type StoredAnswer } from './idempotency.ts';
import { sendFault } from './problem.ts';
import { edgeFault } from './rules.ts';

const KEY = /^[\x20-\x7e]{1,255}$/;
const KEPT_HEADERS = ['content-type', 'location', 'etag'] as const;

/** Answers that say "not now" must not be replayed: the repeat may succeed. */
const isFinal = (status: number): boolean => status < 500 && status !== 429 && status !== 401;

function replay(reply: FastifyReply, answer: StoredAnswer): FastifyReply {
  return reply.code(answer.status).headers(answer.headers).header('idempotency-replayed', 'true').send(answer.body);
}

/** Installs the hooks; needs `request.caller` and the raw body's hash (see {@link hashRequest}). */
export function installIdempotency(app: App): void {
  const store = createIdempotencyStore(app.services.clock);
  app.services.state.onReady((coordinator) => {
    for (const recovered of coordinator.recoveredAnswers()) store.restore(recoveredEntry(recovered));
  });

  /** True when the request is the first with its key, and goes on; false when it has been answered. */
  const begin = async (request: FastifyRequest, reply: FastifyReply): Promise<boolean> => {
    const key = request.headers['idempotency-key'];
    if (request.caller === undefined) return true;
    if (typeof key !== 'string' || !KEY.test(key)) {
      sendFault(reply, edgeFault('http.header', 'Idempotency-Key must be 1 to 255 printable ASCII characters.'));
      return false;
    }
    const scope = `${request.caller.tenant}\n${key}`;
    const hash = requestHash(request);
    for (;;) {
      const begun = store.begin(scope, hash);
      if (begun.kind === 'conflict') {
        sendFault(
          reply,
          edgeFault('http.idempotency.conflict', `The key ${JSON.stringify(key)} belongs to another request.`),
        );
        return false;
      }
      if (begun.kind === 'first') {
        request.idempotency = { scope, hash, owns: true };
        return true;
      }
      const answer = await begun.answer;
      if (answer === undefined) continue;
      replay(reply, answer);
      return false;
    }
  };

  app.addHook('preValidation', (request, reply, done) => {
    if (request.method !== 'POST' || request.headers['idempotency-key'] === undefined) return done();
    begin(request, reply).then((goesOn) => (goesOn ? done() : undefined), done);
  });

  app.addHook('onSend', (request, reply, payload, done) => {
    const mark = request.idempotency;
    if (mark?.owns !== true) return done(null, payload);
    const isKept = isFinal(reply.statusCode) && typeof payload === 'string';
    store.finish(
      mark.scope,
      isKept ? { status: reply.statusCode, headers: keptHeaders(reply), body: payload } : undefined,
    );
    request.idempotency = undefined;
    done(null, payload);
  });

  // A reply that never reached onSend must not leave its key taken for ever.
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.idempotency?.owns === true) store.finish(request.idempotency.scope, undefined);
    done();
  });
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** Commands whose answer is a 201, and where what they made is found. */
const CREATED: Readonly<Record<string, string>> = {
  attach: '/v1/attachments/',
  'new-task': '/v1/tasks/',
  'load-program': '/v1/programs/',
  'load-object': '/v1/programs/',
  'create-map': '/v1/maps/',
};

/** An answer of an earlier run as it was sent then. */
function recoveredEntry({ scope, hash, timeMs, command, value }: RecoveredAnswer): RestoredAnswer {
  const { id } = value as { readonly id?: unknown };
  const place = CREATED[command];
  const isCreated = place !== undefined;
  // A list of what was made has no place of its own.
  const location = isCreated && typeof id === 'string' ? { location: `${place}${id}` } : {};
  const headers = { 'content-type': JSON_TYPE, ...location };
  return {
    scope,
    hash,
    sinceMs: timeMs,
    answer: { status: isCreated ? 201 : 200, headers, body: JSON.stringify(value) },
  };
}

function keptHeaders(reply: FastifyReply): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = reply.getHeader(name);
    if (value !== undefined) kept[name] = String(value);
  }
  return kept;
}

const rawBodies = new WeakMap<FastifyRequest, string>();

/** The body parser leaves the hash of what came here, for requests that carry a key. */
export function hashRequest(request: FastifyRequest, body: Buffer): void {
  if (request.headers['idempotency-key'] === undefined) return;
  rawBodies.set(request, createHash('sha256').update(body).digest('hex'));
}

function requestHash(request: FastifyRequest): string {
  const parts = [request.method, request.url, request.headers['if-match'] ?? '', rawBodies.get(request) ?? ''];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}
