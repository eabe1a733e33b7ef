/** The service as a whole: listens first, then loads the image, and stops in order. */
import type { Logger } from 'pino';
import { type Clock, err, type Result, systemClock } from '../base/index.ts';
import type { Coordinator } from '../coordinator/index.ts';
import { buildApp } from './app.ts';
import type { App } from './app-type.ts';
import type { TokenBook } from './auth.ts';
import type { RequestLimits } from './limits.ts';
import { hostNamesFor, isLoopback, type ListenAddress, ListenError, listen } from './listen.ts';
import { logFaults, logTransitions, roomLogger } from './logging.ts';
import { edgeFault } from './rules.ts';
import { createServiceState, type LoadingProgress, type ServiceState } from './state.ts';

export interface StartOptions {
  readonly listen: ListenAddress;
  readonly log: Logger;
  readonly tokens?: TokenBook;
  /** Further names under which the service may be addressed. */
  readonly allowHosts?: readonly string[];
  readonly requestLimits?: RequestLimits;
  /** Loads the image; called once the service listens. */
  readonly open: (onProgress: (progress: LoadingProgress) => void) => Promise<Result<Coordinator>>;
  readonly onProgress?: (progress: LoadingProgress) => void;
  readonly clock?: Clock;
}

export interface RunningService {
  /** `http://127.0.0.1:7700` or `unix:PATH`. */
  readonly address: string;
  /** Settles when loading has ended. */
  readonly opened: Promise<Result<Coordinator>>;
  /** Refuses new requests, ends event streams, finishes accepted commands; at most {@link STOP_MS_MAX}. */
  stop(reason: string): Promise<void>;
}

export const STOP_MS_MAX = 4500;
const DRAIN_MS_MAX = 3000;
/** How long whoever comes is still told that the service stops: a connection closed at once would cut off the request that is on its way. */
const FAREWELL_MS = 250;

/** Throws {@link ListenError} when the address cannot or must not be listened on. */
export async function startService(options: StartOptions): Promise<RunningService> {
  const { listen: address, tokens, log } = options;
  if (address.kind === 'tcp' && tokens === undefined && !isLoopback(address.host)) {
    throw new ListenError(`${address.host} is not a loopback address: listening there needs --token-file`);
  }
  const clock = options.clock ?? systemClock;
  const state = createServiceState();
  const hostNames = hostNamesFor(address, options.allowHosts ?? []);
  const app = await buildApp({
    state,
    log,
    clock,
    ...(tokens === undefined ? {} : { tokens }),
    ...(hostNames === undefined ? {} : { hostNames }),
    ...(options.requestLimits === undefined ? {} : { requestLimits: options.requestLimits }),
  });
  const inFlight = trackRequests(app);
  const at = await listen(app, address);
  const server = roomLogger(log, 'server');
  server.info({ address: at, tokens: tokens?.size ?? 0 }, 'started');
  const opened = open(state, options);
  return { address: at, opened, stop: stopper({ app, state, clock, log: server, inFlight }) };
}

/** A loader that throws has a bug; the service must say so and not wait for ever. */
async function openSafely(
  options: StartOptions,
  log: Logger,
  onProgress: (progress: LoadingProgress) => void,
): Promise<Result<Coordinator>> {
  try {
    return await options.open(onProgress);
  } catch (error) {
    log.fatal({ err: error }, 'loading threw');
    return err(edgeFault('service.internal', `Loading failed unexpectedly: ${String(error)}.`));
  }
}

async function open(state: ServiceState, options: StartOptions): Promise<Result<Coordinator>> {
  const log = roomLogger(options.log, 'coordinator');
  const opened = await openSafely(options, log, (progress) => {
    state.setProgress(progress);
    options.onProgress?.(progress);
  });
  if (opened.ok) {
    logTransitions(log, opened.value);
    logFaults(log, opened.value);
    state.setReady(opened.value);
    const { release, profile, strictness, loadMs } = opened.value.image();
    log.info({ release, profile, strictness, loadMs }, 'ready');
  } else {
    state.setFailed(opened.fault);
    log.error({ rule: opened.fault.rule, errno: opened.fault.errno, detail: opened.fault.detail }, 'loading failed');
  }
  return opened;
}

interface InFlight {
  /** Resolves when no request is being answered. */
  idle(): Promise<void>;
}

function trackRequests(app: App): InFlight {
  let running = 0;
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    running--;
    if (running === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  app.server.on('request', (request, response) => {
    // Event streams end by themselves when the service stops.
    if (request.url?.startsWith('/v1/events') === true) return;
    running++;
    response.once('close', leave);
  });
  return { idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))) };
}

interface Stoppable {
  readonly app: App;
  readonly state: ServiceState;
  readonly clock: Clock;
  readonly log: Logger;
  readonly inFlight: InFlight;
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));

/** Resolves after `ms` at the latest; keeps the process alive until then. */
const within = (clock: Clock, ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, pause(clock, ms)]);

function stopper({ app, state, clock, log, inFlight }: Stoppable): (reason: string) => Promise<void> {
  const stopInOrder = async (): Promise<void> => {
    state.setStopping();
    app.services.events.stop();
    await pause(clock, FAREWELL_MS);
    // Fastify's close would wait for every keep-alive connection; it runs on while the rest is brought to its end.
    const closed = app.close();
    await within(clock, DRAIN_MS_MAX - FAREWELL_MS, inFlight.idle());
    await state.coordinator()?.close();
    // Answers are out: what is left are idle connections, and readers that no longer read.
    app.server.closeIdleConnections();
    await within(clock, 300, closed);
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
