/**
 * Readers of `/v1/events`. A reader is a position in the coordinator's retained events, not a queue: what it has not taken yet stays in the
 * one shared log, and it is written to only as fast as its socket takes it. Who falls more than {@link EventLimits.lagMax} events behind is
 * dropped with a final `error` event. No reader holds memory of its own, slows a poke or holds up shutdown.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../base/index.ts';
import type { CommandProgress, Coordinator, ServiceEvent } from '../coordinator/index.ts';
import { edgeFault } from './rules.ts';

export interface EventLimits {
  readonly readersMax: number;
  /** Events a reader may be behind while its socket is full. */
  readonly lagMax: number;
  /** Events written between two looks at the socket. */
  readonly batch: number;
  readonly heartbeatMs: number;
  /** How long a dropped reader may take to receive the last event before its socket is destroyed. */
  readonly lingerMs: number;
}

export const EVENT_LIMITS: EventLimits = {
  readersMax: 256,
  lagMax: 4096,
  batch: 128,
  heartbeatMs: 15_000,
  lingerMs: 1000,
};

export interface EventHub {
  readonly readers: number;
  readonly dropped: number;
  isFull(): boolean;
  /** Starts sending events after `after`; `types` undefined means all. The response's head must have been written. */
  add(response: ServerResponse, after: number, types: ReadonlySet<string> | undefined): void;
  start(coordinator: Coordinator): void;
  /** Ends every reader with a last event. */
  stop(): void;
}

interface Reader {
  readonly response: ServerResponse;
  readonly types: ReadonlySet<string> | undefined;
  /** Sequence of the last event that was looked at for this reader. */
  cursor: number;
  isBlocked: boolean;
  isDone: boolean;
}

/** One event on the wire: `id` is the sequence, so that Last-Event-ID resumes. */
export const eventFrame = (event: ServiceEvent): string =>
  `id: ${event.sequence}\nevent: ${event.type}\ndata: ${JSON.stringify({ sequence: event.sequence, time: event.time, ...event.data })}\n\n`;

/** The type of frames that tell how far a command is. They have no id: nothing is kept, and who comes back is not told again. */
export const PROGRESS = 'progress';

const progressFrame = (progress: CommandProgress): string =>
  `event: ${PROGRESS}\ndata: ${JSON.stringify(progress)}\n\n`;

const STOPPING_DETAIL = 'The service is stopping.';

const lastFrame = (rule: 'events.slow-reader' | 'service.stopping', detail: string): string =>
  `event: error\ndata: ${JSON.stringify(edgeFault(rule, detail))}\n\n`;

interface Hub {
  readonly clock: Clock;
  readonly limits: EventLimits;
  readonly readers: Set<Reader>;
  dropped: number;
  source: Coordinator | undefined;
  isStopping: boolean;
}

function remove(hub: Hub, reader: Reader): void {
  reader.isDone = true;
  hub.readers.delete(reader);
}

function end(hub: Hub, reader: Reader, frame: string): void {
  remove(hub, reader);
  reader.response.end(frame);
  const { socket } = reader.response;
  hub.clock.after(hub.limits.lingerMs, () => socket?.destroy());
}

function write(reader: Reader, text: string): void {
  if (!reader.response.write(text)) reader.isBlocked = true;
}

function dropIfLate(hub: Hub, reader: Reader, coordinator: Coordinator): void {
  const { first, last } = coordinator.eventRange();
  const behind = last - reader.cursor;
  if (reader.cursor + 1 >= first && behind <= hub.limits.lagMax) return;
  hub.dropped++;
  const detail = `The reader is ${behind} events behind; resume with Last-Event-ID ${reader.cursor}.`;
  end(hub, reader, lastFrame('events.slow-reader', detail));
}

/** Writes what the reader has not had, as far as its socket takes it. */
function pump(hub: Hub, reader: Reader): void {
  const { source, limits } = hub;
  if (source === undefined) return;
  while (!reader.isDone) {
    if (reader.isBlocked || reader.cursor + 1 < source.eventRange().first) {
      dropIfLate(hub, reader, source);
      return;
    }
    const events = source.eventsAfter(reader.cursor, limits.batch);
    const last = events.at(-1);
    if (last === undefined) return;
    reader.cursor = last.sequence;
    const wanted = reader.types === undefined ? events : events.filter((e) => reader.types?.has(e.type));
    if (wanted.length > 0) write(reader, wanted.map(eventFrame).join(''));
  }
}

function addReader(hub: Hub, reader: Reader): void {
  const { response, cursor } = reader;
  hub.readers.add(reader);
  response.on('drain', () => {
    reader.isBlocked = false;
    pump(hub, reader);
  });
  response.on('close', () => remove(hub, reader));
  response.on('error', () => remove(hub, reader));
  write(reader, `retry: 2000\n: events after ${cursor}\n\n`);
  pump(hub, reader);
  // It was let in before the service was stopping, and had its turn after the others had been told.
  if (hub.isStopping && !reader.isDone) end(hub, reader, lastFrame('service.stopping', STOPPING_DETAIL));
}

/** Calls `task` soon after it was asked to, once however often: the many events of one poke batch wake the readers once. */
function coalesced(task: () => void): () => void {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      task();
    });
  };
}

export function createEventHub(clock: Clock, limits: EventLimits = EVENT_LIMITS): EventHub {
  const hub: Hub = { clock, limits, readers: new Set(), dropped: 0, source: undefined, isStopping: false };
  const stops: (() => void)[] = [];
  let cancelHeartbeat: () => void = () => {};
  /** A comment keeps the connection alive; the id lets an idle or filtering reader resume from where it truly is. */
  const heartbeat = (): void => {
    for (const reader of hub.readers) {
      if (!reader.isBlocked) write(reader, `: heartbeat\nid: ${reader.cursor}\n\n`);
    }
    cancelHeartbeat = clock.after(limits.heartbeatMs, heartbeat);
  };
  return {
    get readers() {
      return hub.readers.size;
    },
    get dropped() {
      return hub.dropped;
    },
    isFull: () => hub.readers.size >= limits.readersMax,
    add: (response, after, types) =>
      addReader(hub, { response, types, cursor: after, isBlocked: false, isDone: false }),
    start(coordinator) {
      hub.source = coordinator;
      const wake = coalesced(() => {
        for (const reader of hub.readers) pump(hub, reader);
      });
      const tell = (progress: CommandProgress): void => {
        for (const reader of hub.readers)
          if (reader.types?.has(PROGRESS) === true && !reader.isBlocked) write(reader, progressFrame(progress));
      };
      stops.push(coordinator.onEvent(wake), coordinator.onProgress(tell), () => cancelHeartbeat());
      cancelHeartbeat = clock.after(limits.heartbeatMs, heartbeat);
    },
    stop() {
      hub.isStopping = true;
      for (const stop of stops.splice(0)) stop();
      for (const reader of [...hub.readers]) end(hub, reader, lastFrame('service.stopping', STOPPING_DETAIL));
    },
  };
}
