/** Time, passed in: nothing below the edges reads the machine's clock itself, so that a run can be replayed. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Microseconds since an arbitrary start; never goes back. */
  monotonicUs(): number;
  /** Calls back once after `ms`; the returned function cancels. Does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicUs: () => performance.now() * 1000,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until told to advance. */
export class ManualClock implements Clock {
  #nowUs: number;
  readonly #timers = new Set<{ readonly dueUs: number; readonly callback: () => void }>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowUs = startMs * 1000;
  }

  now(): number {
    return Math.floor(this.#nowUs / 1000);
  }

  monotonicUs(): number {
    return this.#nowUs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { dueUs: this.#nowUs + ms * 1000, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time on and runs what came due, in order of its time. */
  advance(ms: number): void {
    this.#nowUs += ms * 1000;
    const due = [...this.#timers].filter((t) => t.dueUs <= this.#nowUs).sort((a, b) => a.dueUs - b.dueUs);
    for (const timer of due) {
      if (this.#timers.delete(timer)) timer.callback();
    }
  }
}
