/** The Fastify app: hooks, routes, error answers. It listens nowhere by itself; {@link startService} does that. */
import Fastify, { type FastifyError } from 'fastify';
import type { Logger } from 'pino';
import { type Clock, idMaker, systemClock, systemPrng } from '../base/index.ts';
import type { App } from './app-type.ts';
import type { TokenBook } from './auth.ts';
import { BodySyntaxError, installNotFound, onClientError, onError } from './errors.ts';
import { createEventHub, type EventLimits } from './event-hub.ts';
import { installGuards } from './guards.ts';
import { hashRequest, installIdempotency } from './idempotency-hooks.ts';
import { compileOnFirstUse } from './lazy-schemas.ts';
import { createLimiter, type RequestLimits } from './limits.ts';
import { roomLogger } from './logging.ts';
import { createMetrics } from './metrics.ts';
import { installDocs, installOpenApi } from './openapi.ts';
import { sendFault } from './problem.ts';
import { parseQuery } from './query.ts';
import { attachmentRoutes } from './routes/attachments.ts';
import { callRoutes } from './routes/calls.ts';
import { debugfsRoutes } from './routes/debugfs.ts';
import { eventRoutes } from './routes/events.ts';
import { explorationRoutes } from './routes/explorations.ts';
import { faultRoutes } from './routes/faults.ts';
import { imageRoutes } from './routes/image.ts';
import { kernelRoutes } from './routes/kernels.ts';
import { mapRoutes } from './routes/maps.ts';
import { moduleRoutes } from './routes/modules.ts';
import { pageRoutes } from './routes/page.ts';
import { planRoutes } from './routes/plans.ts';
import { programRoutes } from './routes/programs.ts';
import { ruleRoutes } from './routes/rules.ts';
import { serviceRoutes } from './routes/service.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { requireReady } from './routes/support.ts';
import { sysctlRoutes } from './routes/sysctl.ts';
import { taskRoutes } from './routes/tasks.ts';
import { textRoutes } from './routes/text.ts';
import { tracefsRoutes } from './routes/tracefs.ts';
import { workloadRoutes } from './routes/workloads.ts';
import { edgeFault } from './rules.ts';
import { schemaErrorText } from './schema-errors.ts';
import type { Services } from './services.ts';
import type { ServiceState } from './state.ts';
import { Turns } from './turns.ts';
import { VALIDATION } from './validation.ts';
import { VERSION } from './version.ts';

export interface AppOptions {
  readonly state: ServiceState;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly tokens?: TokenBook;
  /** Names the Host header may have; absent: any. */
  readonly hostNames?: ReadonlySet<string>;
  readonly eventLimits?: EventLimits;
  readonly requestLimits?: RequestLimits;
}

const BODY_BYTES = 1 << 20;
/** How long a request may take to arrive: a client that dribbles keeps a socket for no longer. */
const ARRIVAL_MS = { headers: 15_000, request: 30_000, checkedEvery: 5_000 };
/** A percent-encoded place of 600 characters. */
const PARAMETER_LENGTH_MAX = 1800;

export async function buildApp(options: AppOptions): Promise<App> {
  const clock = options.clock ?? systemClock;
  const makeId = idMaker(clock, systemPrng);
  const app: App = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    genReqId: () => makeId('req'),
    requestIdHeader: false,
    return503OnClosing: false,
    // A request without Host gets our own refusal.
    http: {
      requireHostHeader: false,
      headersTimeout: ARRIVAL_MS.headers,
      connectionsCheckingInterval: ARRIVAL_MS.checkedEvery,
    },
    requestTimeout: ARRIVAL_MS.request,
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    ajv: {
      plugins: [compileOnFirstUse],
      customOptions: VALIDATION,
    },
    clientErrorHandler: onClientError,
    frameworkErrors: (error, request, reply) => {
      onError(error as FastifyError, request as never, reply as never);
    },
  });
  const events = createEventHub(clock, options.eventLimits);
  const services: Services = {
    state: options.state,
    clock,
    log: roomLogger(options.log, 'server'),
    tokens: options.tokens,
    hostNames: options.hostNames,
    events,
    metrics: createMetrics(VERSION, events),
    limiter: createLimiter(clock, options.requestLimits),
    turns: new Turns(clock),
  };
  app.decorate('services', services);
  app.decorateRequest('idempotency', undefined);
  app.decorateRequest('caller', undefined);
  options.state.onReady((coordinator) => {
    services.events.start(coordinator);
    services.metrics.start(coordinator);
  });
  await install(app);
  return app;
}

/** Hooks call back instead of returning promises: there are a dozen on each request, and few of them have to wait. */
async function install(app: App): Promise<void> {
  app.setErrorHandler(onError);
  // Answers are sent as they are: a serializer made from the schema would drop or coerce what the schema does not foresee.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  installNotFound(app);
  installBodyParser(app);
  installFileParser(app);
  installGuards(app);
  installQueryParser(app);
  installIdempotency(app);
  installMeasuring(app);
  await installOpenApi(app, VERSION);
  serviceRoutes(app);
  ruleRoutes(app);
  pageRoutes(app);
  await app.register(async (scope: App) => {
    scope.addHook('onRequest', requireReady);
    scope.addHook('preHandler', (request, reply, done) => {
      const isRead = request.method === 'GET' || request.method === 'HEAD' || request.routeOptions.url === '/v1/plans';
      const violation = isRead ? undefined : scope.services.state.coordinator()?.poisoned();
      if (violation === undefined) done();
      else sendFault(reply, edgeFault('service.poisoned', violation));
    });
    scope.addHook('preHandler', (request, _reply, done) => {
      const { tenant = '', client = '' } = request.caller ?? {};
      scope.services.turns.take(`${tenant}\n${client}`, done);
    });
    for (const routes of [imageRoutes, kernelRoutes, textRoutes, attachmentRoutes, planRoutes, eventRoutes])
      routes(scope);
    for (const routes of [tracefsRoutes, debugfsRoutes, sysctlRoutes, taskRoutes]) routes(scope);
    for (const routes of [
      callRoutes,
      sessionRoutes,
      programRoutes,
      mapRoutes,
      explorationRoutes,
      moduleRoutes,
      workloadRoutes,
      faultRoutes,
    ])
      routes(scope);
  });
  await installDocs(app);
}

/** JSON without `__proto__` and `constructor.prototype`; an empty body is null. */
function installBodyParser(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    hashRequest(request, body as Buffer);
    const text = body.toString('utf8');
    if (text.trim() === '') return done(null, null);
    parse(request, text, (error, value) => {
      if (error) done(new BodySyntaxError(`The body is not JSON: ${error.message}.`), undefined);
      else done(null, value);
    });
  });
}

/** Files come as they are; only routes that say so take them (guards.ts). */
function installFileParser(app: App): void {
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (request, body, done) => {
    hashRequest(request, body as Buffer);
    done(null, body);
  });
}

function installQueryParser(app: App): void {
  app.addHook('preValidation', (request, reply, done) => {
    if (request.is404) return done();
    const schema = request.routeOptions.schema?.querystring as Parameters<typeof parseQuery>[0];
    if (schema === undefined && !request.url.startsWith('/v1/')) return done();
    const parsed = parseQuery(schema, request.query as Readonly<Record<string, unknown>>);
    if (!parsed.ok) {
      sendFault(reply, edgeFault('http.schema', `${schemaErrorText([parsed.error])}.`), [parsed.error]);
      return;
    }
    request.query = parsed.value;
    done();
  });
}

function installMeasuring(app: App): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
    app.services.metrics.observeRequest(
      { method: request.method, route, status: reply.statusCode },
      reply.elapsedTime / 1000,
    );
    done();
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (app.services.state.isStopping()) reply.header('connection', 'close');
    done(null, payload);
  });
}
