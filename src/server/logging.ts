import { type DestinationStream, type Logger, pino } from 'pino';
import type { Coordinator } from '../coordinator/index.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines to stderr: stdout belongs to people. Whatever might carry a token is redacted. */
export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: { service: 'ktextd' },
      redact: [
        'token',
        '*.token',
        'authorization',
        '*.authorization',
        '*.headers.authorization',
        'session',
        '*.session',
      ],
    },
    destination,
  );
}

/** One child for each room. */
export const roomLogger = (log: Logger, room: string): Logger => log.child({ room });

const LOGGED = ['attachment', 'kind', 'client', 'places', 'verdict', 'rule', 'errno', 'siteCount', 'reason'];

/** A fault that somebody injects must not pass for one that nobody did. */
export function logFaults(log: Logger, coordinator: Pick<Coordinator, 'faultInjection' | 'onFault'>): void {
  if (!coordinator.faultInjection()) return;
  log.warn('faults can be injected into this service: its commands may fail, and it may end, for a test');
  coordinator.onFault((what, { id, name, options, client, fired, remaining }) =>
    log.warn({ fault: id, name, options, client, fired, remaining }, `injected fault ${what}`),
  );
}

/** Logs transitions (who came, went, was refused), not requests; single pokes only at debug. */
export function logTransitions(log: Logger, coordinator: Pick<Coordinator, 'onEvent'>): void {
  coordinator.onEvent((event) => {
    const level =
      event.type === 'poke' || event.type === 'call' ? 'debug' : event.type === 'quarantined' ? 'error' : 'info';
    if (!log.isLevelEnabled(level)) return;
    const fields = Object.fromEntries(LOGGED.filter((k) => event.data[k] !== undefined).map((k) => [k, event.data[k]]));
    log[level]({ sequence: event.sequence, ...fields }, event.type);
  });
}
