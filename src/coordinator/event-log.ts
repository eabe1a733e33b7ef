import type { Clock } from '../base/index.ts';
import type { EventType } from './event-types.ts';
import type { ServiceEvent } from './service.ts';

/** Events kept for readers that come back; older ones are gone (410). */
export const EVENTS_RETAINED = 16_384;

/**
 * Numbered events, without a gap, and who wants to hear of new ones. An event has its number when it is appended, and is shown when it is
 * published: a reader must not hear of a change that a crash could still undo.
 */
export class EventLog {
  readonly #clock: Clock;
  readonly #events: ServiceEvent[] = [];
  readonly #listeners = new Set<(event: ServiceEvent) => void>();
  /** Called with events that no command makes. Without it they are published at once. */
  readonly #onLoose: (event: ServiceEvent) => void;
  #collecting: ServiceEvent[] | undefined;
  #newest: { readonly ms: number; readonly text: string } | undefined;
  #last = 0;
  #published = 0;

  constructor(clock: Clock, onLoose?: (event: ServiceEvent) => void) {
    this.#clock = clock;
    this.#onLoose = onLoose ?? ((event) => this.publish(event.sequence));
  }

  /** The number the next event gets. */
  get next(): number {
    return this.#last + 1;
  }

  append(type: EventType, data: Readonly<Record<string, unknown>>): ServiceEvent {
    this.#last += 1;
    const event: ServiceEvent = { sequence: this.#last, time: this.#time(), type, data };
    this.#keep(event);
    if (this.#collecting === undefined) this.#onLoose(event);
    else this.#collecting.push(event);
    return event;
  }

  /** Runs `body`; what it appends is returned and left unpublished. When it throws, nothing was appended. */
  collect<T>(body: () => T): { readonly value: T; readonly events: readonly ServiceEvent[] } {
    const events: ServiceEvent[] = [];
    this.#collecting = events;
    try {
      return { value: body(), events };
    } catch (error) {
      this.#forget(events.length);
      throw error;
    } finally {
      this.#collecting = undefined;
    }
  }

  /** Shows the events up to this number and tells the listeners. */
  publish(through: number): void {
    const fresh = this.after(this.#published, Number.MAX_SAFE_INTEGER, through);
    this.#published = Math.max(this.#published, through);
    for (const event of fresh) for (const listener of this.#listeners) listener(event);
  }

  /** Takes over events of an earlier run, in their order; nobody is told. `last` is the number of the newest that ever was. */
  restore(events: readonly ServiceEvent[], last: number): void {
    for (const event of events) this.#keep(event);
    this.#last = Math.max(this.#last, last);
    this.#published = this.#last;
  }

  range(): { readonly first: number; readonly last: number } {
    return { first: Math.min(this.#events[0]?.sequence ?? this.next, this.#published + 1), last: this.#published };
  }

  after(sequence: number, limit: number, through = this.#published): readonly ServiceEvent[] {
    const first = this.#events[0]?.sequence;
    if (first === undefined) return [];
    const start = Math.max(0, sequence + 1 - first);
    const end = Math.max(start, through + 1 - first);
    return this.#events.slice(start, Math.min(end, start + limit));
  }

  onEvent(listener: (event: ServiceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All events of a command have the same. */
  #time(): string {
    const ms = this.#clock.now();
    if (this.#newest?.ms !== ms) this.#newest = { ms, text: new Date(ms).toISOString() };
    return this.#newest.text;
  }

  /** The newest so many; nobody has seen them, and their numbers are given again. */
  #forget(count: number): void {
    this.#events.splice(this.#events.length - count, count);
    this.#last -= count;
  }

  #keep(event: ServiceEvent): void {
    this.#events.push(event);
    if (this.#events.length > EVENTS_RETAINED * 2) this.#events.splice(0, this.#events.length - EVENTS_RETAINED);
  }
}
