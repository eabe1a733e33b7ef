/**
 * Stops the service in order. Nobody is cut off who can still be answered:
 *
 *  1. From now on whoever comes is told 503 and `connection: close` (guards.ts), and each event stream its last event.
 *  2. The service goes on listening until what was accepted has its answer and nobody has come for {@link FAREWELL}: a client that did not hear of
 *     it yet is refused in words, and goes away for as long as Retry-After says.
 *  3. The journal is written to its end and closed.
 *  4. Right behind a look at the sockets, when all that has come is read, the listening socket and the idle connections are closed. What is cut
 *     now is a request that crosses with the closing, which HTTP/1.1 has no way to prevent (RFC 9112, section 9.5).
 *  5. What is left has {@link LINGER_MS} to send what it began and to be answered 503; then it is closed.
 */
import type { Logger } from 'pino';
import type { Clock } from '../base/index.ts';
import type { App } from './app-type.ts';
import type { ServiceState } from './state.ts';

export const STOP_MS_MAX = 4500;
const DRAIN_MS_MAX = 3000;
/** Milliseconds: without a request; however few come; at the most, which is before those told first come again as Retry-After said. */
const FAREWELL = { quiet: 100, least: 250, most: 750 };
const LINGER_MS = 300;

export interface InFlight {
  /** Resolves when no request that was accepted is being answered. */
  idle(): Promise<void>;
  /** When the last request came. */
  lastUs(): number;
}

/** Counts the requests that came before the service was stopping; event streams end by themselves. */
export function trackRequests(app: App, state: ServiceState, clock: Clock): InFlight {
  let running = 0;
  let lastUs = clock.monotonicUs();
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    running--;
    if (running === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  app.server.on('request', (request, response) => {
    lastUs = clock.monotonicUs();
    if (state.isStopping() || request.url?.startsWith('/v1/events') === true) return;
    running++;
    response.once('close', leave);
  });
  return {
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    lastUs: () => lastUs,
  };
}

export interface Stoppable {
  readonly app: App;
  readonly state: ServiceState;
  readonly clock: Clock;
  readonly log: Logger;
  readonly inFlight: InFlight;
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));

/** Resolves after `ms` at the latest. */
const within = (clock: Clock, ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, pause(clock, ms)]);

/** Settles behind the next look at the sockets: immediates run right behind it. */
const look = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function farewell(clock: Clock, inFlight: InFlight): Promise<void> {
  const startUs = clock.monotonicUs();
  const sinceMs = (us: number): number => (clock.monotonicUs() - us) / 1000;
  await pause(clock, FAREWELL.least);
  // On a machine with much to do a timer comes late, and requests have been waiting as long to be read.
  await look();
  while (sinceMs(inFlight.lastUs()) < FAREWELL.quiet && sinceMs(startUs) < FAREWELL.most) {
    await pause(clock, FAREWELL.quiet - sinceMs(inFlight.lastUs()));
    await look();
  }
}

/**
 * Has the server closed behind the next look at the sockets. The second look reads what connections
 * accepted in the first have sent.
 */
export function closeBehindReading(app: App): void {
  app.addHook('preClose', (done) => {
    void look()
      .then(look)
      .then(() => done());
  });
}

export function stopper({ app, state, clock, log, inFlight }: Stoppable): (reason: string) => Promise<void> {
  const stopInOrder = async (): Promise<void> => {
    state.setStopping();
    app.services.events.stop();
    await Promise.all([farewell(clock, inFlight), within(clock, DRAIN_MS_MAX, inFlight.idle())]);
    await state.coordinator()?.close();
    const closed = app.close();
    await within(clock, LINGER_MS, closed);
    app.server.closeAllConnections();
    await closed;
  };
  let stopped: Promise<void> | undefined;
  return (reason) => {
    log.info({ reason }, 'stopping');
    stopped ??= within(clock, STOP_MS_MAX, stopInOrder()).then(() => log.info('stopped'));
    return stopped;
  };
}
