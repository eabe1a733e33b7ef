/**
 * What one client may ask of the service at a time: requests in flight and, where the operator says so, requests a second. A client is a label
 * of a tenant. Nobody's neighbours wait for somebody who asks too much.
 */
import type { Clock, Fault } from '../base/index.ts';
import { edgeFault } from './rules.ts';

export interface RequestLimits {
  readonly inFlight: number;
  /** Requests a second; undefined: as many as it likes. Twice as many may come at once. */
  readonly perSecond?: number;
}

export const REQUEST_LIMITS: RequestLimits = { inFlight: 64 };

interface Client {
  inFlight: number;
  /** What is left of the rate, and when that was so. */
  tokens: number;
  atUs: number;
}

export interface Limiter {
  /** The refusal, or a function to be called once when the request has ended. */
  enter(client: string): Fault | (() => void);
  readonly clients: number;
}

const BURST = 2;

export function createLimiter(clock: Clock, limits: RequestLimits = REQUEST_LIMITS): Limiter {
  const clients = new Map<string, Client>();
  const full = (limits.perSecond ?? 0) * BURST;

  const refill = (client: Client): void => {
    const nowUs = clock.monotonicUs();
    client.tokens = Math.min(full, client.tokens + ((nowUs - client.atUs) / 1e6) * (limits.perSecond ?? 0));
    client.atUs = nowUs;
  };

  /** A client that has nothing under way and its whole rate back is as good as one never seen. */
  const forgetIdle = (): void => {
    for (const [name, client] of clients) {
      if (client.inFlight > 0) continue;
      refill(client);
      if (client.tokens >= full) clients.delete(name);
    }
  };

  return {
    enter(name) {
      if (clients.size >= CLIENTS_LOOKED_AT) forgetIdle();
      const client = clients.get(name) ?? { inFlight: 0, tokens: full, atUs: clock.monotonicUs() };
      clients.set(name, client);
      if (client.inFlight >= limits.inFlight)
        return edgeFault('quota.in-flight', `${limits.inFlight} requests of this client are under way.`);
      if (limits.perSecond !== undefined) {
        refill(client);
        if (client.tokens < 1)
          return edgeFault('quota.rate', `This client may send ${limits.perSecond} requests a second.`);
        client.tokens -= 1;
      }
      client.inFlight += 1;
      let isDone = false;
      return () => {
        if (isDone) return;
        isDone = true;
        client.inFlight -= 1;
        if (client.inFlight === 0 && limits.perSecond === undefined) clients.delete(name);
      };
    },
    get clients() {
      return clients.size;
    },
  };
}

/** Labels are free to choose: past so many, those that rest are forgotten. */
const CLIENTS_LOOKED_AT = 10_000;
