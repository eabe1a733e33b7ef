/** The service as a whole: listens first, then loads the image, and stops in order. */
import type { Logger } from 'pino';
import { type Clock, err, type Result, systemClock } from '../base/index.ts';
import type { Coordinator } from '../coordinator/index.ts';
import { buildApp } from './app.ts';
import type { TokenBook } from './auth.ts';
import type { RequestLimits } from './limits.ts';
import { hostNamesFor, isLoopback, type ListenAddress, ListenError, listen } from './listen.ts';
import { logFaults, logTransitions, roomLogger } from './logging.ts';
import { edgeFault } from './rules.ts';
import { createServiceState, type LoadingProgress, type ServiceState } from './state.ts';
import { closeBehindReading, stopper, trackRequests } from './stop.ts';

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
  /** Refuses new requests, ends event streams, finishes accepted commands; at most {@link STOP_MS_MAX} of `stop.ts`. */
  stop(reason: string): Promise<void>;
}

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
  closeBehindReading(app);
  const inFlight = trackRequests(app, state, clock);
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
