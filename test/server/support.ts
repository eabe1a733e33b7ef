import assert from 'node:assert/strict';
import type { LightMyRequestResponse } from 'fastify';
import type { EventLimits } from '../../src/server/event-hub.ts';
import {
  buildApp,
  createLogger,
  createServiceState,
  parseTokenFile,
  type RequestLimits,
  type ServiceState,
} from '../../src/server/index.ts';
import { createFakeCoordinator, type FakeCoordinator } from './coordinator.fake.ts';

export interface TestApp {
  readonly app: Awaited<ReturnType<typeof buildApp>>;
  readonly fake: FakeCoordinator;
  readonly state: ServiceState;
  post(url: string, body: unknown, headers?: Record<string, string>): Promise<LightMyRequestResponse>;
  get(url: string, headers?: Record<string, string>): Promise<LightMyRequestResponse>;
}

export interface TestAppOptions {
  readonly isLoading?: boolean;
  readonly tokens?: string;
  readonly hostNames?: ReadonlySet<string>;
  readonly eventLimits?: EventLimits;
  readonly requestLimits?: RequestLimits;
}

export async function testApp(options: TestAppOptions = {}): Promise<TestApp> {
  const fake = createFakeCoordinator();
  const state = createServiceState();
  if (options.isLoading !== true) state.setReady(fake);
  const book = options.tokens === undefined ? undefined : parseTokenFile(options.tokens);
  if (book?.ok === false) throw new Error(book.message);
  const app = await buildApp({
    state,
    log: createLogger('silent'),
    hostNames: options.hostNames ?? new Set(['localhost', '127.0.0.1']),
    ...(book === undefined ? {} : { tokens: book.book }),
    ...(options.eventLimits === undefined ? {} : { eventLimits: options.eventLimits }),
    ...(options.requestLimits === undefined ? {} : { requestLimits: options.requestLimits }),
  });
  return {
    app,
    fake,
    state,
    post: (url, body, headers = {}) =>
      app.inject({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      }),
    get: (url, headers = {}) => app.inject({ method: 'GET', url, headers }),
  };
}

export const FENTRY = { kind: 'fentry', target: 'tcp_set_state' } as const;

const FIELDS = [
  'type',
  'title',
  'status',
  'detail',
  'errno',
  'rule',
  'linux',
  'holders',
  'place',
  'remedies',
  'index',
  'expected',
  'actual',
  'profile',
  'requestId',
  'kernel',
  'strictness',
];

/** Asserts a complete problem document; returns it. */
export function assertProblem(response: LightMyRequestResponse, status: number, rule: string): Record<string, unknown> {
  assert.equal(response.statusCode, status, response.body);
  assert.match(String(response.headers['content-type']), /^application\/problem\+json/);
  const problem = response.json<Record<string, unknown>>();
  assert.equal(problem['rule'], rule, response.body);
  assert.equal(problem['status'], status);
  assert.equal(problem['type'], `/v1/rules/${rule}`);
  assert.equal(problem['requestId'], response.headers['x-request-id']);
  for (const field of FIELDS) assert.ok(field in problem, `${field} is missing`);
  return problem;
}
