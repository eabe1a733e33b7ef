import type { Logger } from 'pino';
import type { Clock } from '../base/index.ts';
import type { TokenBook } from './auth.ts';
import type { EventHub } from './event-hub.ts';
import type { Limiter } from './limits.ts';
import type { Metrics } from './metrics.ts';
import type { ServiceState } from './state.ts';
import type { Turns } from './turns.ts';

/** What routes and hooks share; the one decorator of the app. */
export interface Services {
  readonly state: ServiceState;
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: no tokens, one tenant. */
  readonly tokens: TokenBook | undefined;
  /** Lower-case names under which the service may be addressed; undefined: any (a unix socket, which no browser reaches). */
  readonly hostNames: ReadonlySet<string> | undefined;
  readonly events: EventHub;
  readonly metrics: Metrics;
  readonly limiter: Limiter;
  readonly turns: Turns;
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly services: Services;
  }
  interface FastifyRequest {
    /** Set while this request is the first with its Idempotency-Key. */
    idempotency: IdempotencyMark | undefined;
    caller: RequestCaller | undefined;
  }
}

export interface IdempotencyMark {
  readonly scope: string;
  /** Stands for the whole request. */
  readonly hash: string;
  readonly owns: boolean;
}

/** Who sent a request, after tokens and headers have been looked at. */
export interface RequestCaller {
  readonly client: string;
  readonly tenant: string;
  readonly role: Role;
  /** Secret of the session that `x-ktextd-session` names. */
  readonly session?: string;
  /** `x-ktextd-deadline-ms`. */
  readonly deadlineMs?: number;
}

export type Role = 'read' | 'attach' | 'admin';
