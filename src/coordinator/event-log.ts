import type { Clock } from '../base/index.ts';
import type { EventType } from './event-types.ts';
import type { ServiceEvent } from './service.ts';

/** Events kept for readers that come back; older ones are gone (410). */
export const EVENTS_RETAINED = 16_384;

/** Numbered events, without a gap, and who wants to hear of new ones. */
export class EventLog {
  readonly #clock: Clock;
  readonly #events: ServiceEvent[] = [];
  readonly #listeners = new Set<(event: ServiceEvent) => void>();
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number the next event gets. */
  get next(): number {
    return this.#last + 1;
  }

  append(type: EventType, data: Readonly<Record<string, unknown>>): ServiceEvent {
    this.#last += 1;
    const event: ServiceEvent = { sequence: this.#last, time: new Date(this.#clock.now()).toISOString(), type, data };
    this.#events.push(event);
    if (this.#events.length > EVENTS_RETAINED * 2) this.#events.splice(0, this.#events.length - EVENTS_RETAINED);
    for (const listener of this.#listeners) listener(event);
    return event;
  }

  range(): { readonly first: number; readonly last: number } {
    return { first: this.#events[0]?.sequence ?? this.next, last: this.#last };
  }

  after(sequence: number, limit: number): readonly ServiceEvent[] {
    const first = this.#events[0]?.sequence;
    if (first === undefined) return [];
    const start = Math.max(0, sequence + 1 - first);
    return this.#events.slice(start, start + limit);
  }

  onEvent(listener: (event: ServiceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
