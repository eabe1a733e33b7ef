/** What is checked on every request before its route runs: stopping, Host, Origin, token and role, labels, content type. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Fault } from '../base/index.ts';
import type { App } from './app-type.ts';
import { bearerToken } from './auth.ts';
import { sendFault } from './problem.ts';
import { wireCaller } from './routes/support.ts';
import { edgeFault } from './rules.ts';
import type { RequestCaller, Role } from './services.ts';

const LABEL = /^[\x20-\x7e]{1,64}$/;
const HAS_BODY = new Set(['POST', 'PUT', 'PATCH']);
const OCTETS_TYPE = /^application\/octet-stream\s*;?\s*$/i;
const JSON_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*$/i;

/** The host part of `host[:port]`, lower case; a bracketed IPv6 address keeps its brackets off. */
export function hostName(authority: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^\s:/@[\]]+))(?::\d{1,5})?$/i.exec(authority);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '');
}

const portOf = (authority: string): string => /:(\d{1,5})$/.exec(authority)?.[1] ?? '80';

/** True when `origin` is a page of this very service: one of its names, and the port the request came to. */
function isOwnOrigin(origin: string, host: string, names: ReadonlySet<string> | undefined): boolean {
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const name = hostName(url.host);
  if (name === undefined || url.origin === 'null') return false;
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (url.host.toLowerCase() === host.toLowerCase()) return true;
  return names?.has(name) === true && port === portOf(host);
}

function checkHostAndOrigin(request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const { hostNames } = request.server.services;
  // RFC 9112, section 3.2: whoever sends two may mean one for us and one for somebody in between.
  const hosts = request.raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) return sendFault(reply, edgeFault('http.malformed', 'There is more than one Host header.'));
  const host = request.headers.host ?? '';
  const name = hostName(host);
  if (hostNames !== undefined && (name === undefined || !hostNames.has(name))) {
    return sendFault(reply, edgeFault('http.host', `Host ${JSON.stringify(host)} is not a name of this service.`));
  }
  const origin = request.headers.origin;
  if (origin !== undefined && !isOwnOrigin(origin, host, hostNames)) {
    return sendFault(reply, edgeFault('http.origin', `Origin ${JSON.stringify(origin)} is not this service.`));
  }
  return undefined;
}

/** What a route asks of the caller's token. */
export interface RouteConfig {
  /** `open`: answers without a token even where tokens are configured. */
  readonly access?: 'open' | Role;
  /** `octets`: the body is a file, `application/octet-stream`, and no JSON; `json-or-octets`: either. */
  readonly body?: 'octets' | 'json-or-octets';
}

const RANK: Readonly<Record<Role, number>> = { read: 0, attach: 1, admin: 2 };

function neededRole(request: FastifyRequest): Role {
  const access = (request.routeOptions.config as RouteConfig).access;
  if (access !== undefined && access !== 'open') return access;
  return request.method === 'GET' || request.method === 'HEAD' ? 'read' : 'attach';
}

/** The caller, or the reply with which it was refused. */
function identify(request: FastifyRequest, reply: FastifyReply): RequestCaller | FastifyReply {
  const { tokens } = request.server.services;
  const header = request.headers['x-ktextd-client'];
  const label = Array.isArray(header) ? header.join(',') : header;
  if (label !== undefined && !LABEL.test(label)) {
    return sendFault(reply, edgeFault('http.header', 'x-ktextd-client must be 1 to 64 printable ASCII characters.'));
  }
  // Without tokens there is one tenant, and everyone who reaches the service is it.
  if (tokens === undefined) return { client: label ?? 'anonymous', tenant: 'default', role: 'admin' };
  const token = bearerToken(request.headers.authorization);
  const entry = token === undefined ? undefined : tokens.find(token);
  if (entry === undefined) {
    const detail = token === undefined ? 'The request has no bearer token.' : 'The bearer token is not known here.';
    return sendFault(reply, edgeFault('http.token', detail));
  }
  const role = neededRole(request);
  if (RANK[entry.role] < RANK[role]) {
    const detail = `${request.method} ${request.routeOptions.url} needs the role ${role}; ${entry.name} has ${entry.role}.`;
    return sendFault(reply, edgeFault('http.role', detail));
  }
  return { client: entry.name, tenant: entry.name, role: entry.role };
}

/** Event streams stay open for long, and have a bound of their own. */
const isStream = (request: FastifyRequest): boolean => request.routeOptions.url === '/v1/events';

function enter(request: FastifyRequest, reply: FastifyReply, caller: RequestCaller): Fault | undefined {
  if (isStream(request)) return undefined;
  const entered = request.server.services.limiter.enter(`${caller.tenant}\n${caller.client}`);
  if (typeof entered !== 'function') return entered;
  reply.raw.once('close', entered);
  return undefined;
}

const DEADLINE_MS_MAX = 600_000;

/** `x-ktextd-deadline-ms`: how long the caller waits for its turn at text_mutex. */
function readDeadline(request: FastifyRequest): Fault | undefined {
  const header = request.headers['x-ktextd-deadline-ms'];
  if (header === undefined || request.caller === undefined) return undefined;
  const deadlineMs = typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) : Number.NaN;
  if (!(deadlineMs >= 1 && deadlineMs <= DEADLINE_MS_MAX))
    return edgeFault('http.header', `x-ktextd-deadline-ms must be 1 to ${DEADLINE_MS_MAX} milliseconds.`);
  request.caller = { ...request.caller, deadlineMs };
  return undefined;
}

/** Takes the caller and the session that it names; the fault when that does not exist. Before the image is loaded nobody has one. */
function nameSession(request: FastifyRequest, caller: RequestCaller): Fault | undefined {
  const session = request.headers['x-ktextd-session'];
  request.caller = typeof session === 'string' ? { ...caller, session } : caller;
  const coordinator = request.server.services.state.coordinator();
  if (session === undefined || coordinator === undefined) return undefined;
  if (typeof session !== 'string') return edgeFault('http.header', 'x-ktextd-session must be given once.');
  return coordinator.refuseSession(wireCaller(request, request.caller), session);
}

function isAcceptable(request: FastifyRequest): boolean {
  const type = request.headers['content-type'] ?? '';
  switch ((request.routeOptions.config as RouteConfig).body) {
    case 'octets':
      return OCTETS_TYPE.test(type);
    case 'json-or-octets':
      return OCTETS_TYPE.test(type) || JSON_TYPE.test(type);
    default:
      return JSON_TYPE.test(type);
  }
}

/**
 * The last answer on this connection. It waits for the whole request: a connection closed with something unread is reset, and that takes
 * the answer back from a client that has not read it yet (RFC 9112, section 9.6).
 */
function sendStopping(request: FastifyRequest, reply: FastifyReply): void {
  const send = (): void => {
    reply.header('x-request-id', request.id).header('connection', 'close');
    sendFault(reply, edgeFault('service.stopping', 'The service is stopping; this request was not begun.'));
  };
  request.raw.once('end', send).resume();
}

/** One `onRequest` hook for all, in the order in which a refusal says most. */
export function installGuards(app: App): void {
  const refuse = (request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined => {
    reply.header('x-request-id', request.id);
    const refused = checkHostAndOrigin(request, reply);
    if (refused !== undefined || request.is404) return refused;
    const isOpen = (request.routeOptions.config as RouteConfig).access === 'open';
    if (!isOpen) {
      const caller = identify(request, reply);
      if ('server' in caller) return caller;
      const refusal = enter(request, reply, caller) ?? nameSession(request, caller) ?? readDeadline(request);
      if (refusal !== undefined) return sendFault(reply, refusal);
    }
    if (HAS_BODY.has(request.method) && !isAcceptable(request)) {
      const given = request.headers['content-type'];
      const detail =
        given === undefined ? 'The request has no content-type.' : `The content-type is ${JSON.stringify(given)}.`;
      return sendFault(reply, edgeFault('http.content-type', detail));
    }
    return undefined;
  };
  app.addHook('onRequest', (request, reply, done) => {
    if (app.services.state.isStopping()) sendStopping(request, reply);
    else if (refuse(request, reply) === undefined) done();
  });
}
