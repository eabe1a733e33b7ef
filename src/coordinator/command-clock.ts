import { type Clock, invariant } from '../base/index.ts';

/** The machine's clock, whose time of day stands still while a command runs: what is run again later gives the same times. */
export class CommandClock implements Clock {
  readonly #clock: Clock;
  #pinnedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#pinnedMs ?? this.#clock.now();
  }

  monotonicUs(): number {
    return this.#clock.monotonicUs();
  }

  after(ms: number, callback: () => void): () => void {
    return this.#clock.after(ms, callback);
  }

  /** Runs `body` at the time `ms`. Commands do not nest. */
  during<T>(ms: number, body: () => T): T {
    invariant(this.#pinnedMs === undefined, 'a command runs inside another');
    this.#pinnedMs = ms;
    try {
      return body();
    } finally {
      this.#pinnedMs = undefined;
    }
  }
}
