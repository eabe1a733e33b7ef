import type { Clock } from '../base/index.ts';

/**
 * Work that is done once, some time after it was asked for (struct delayed_work): asking again before that changes nothing
 * (schedule_delayed_work).
 */
export class DelayedWork {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #work: () => void;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, delayMs: number, work: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#work = work;
  }

  get isPending(): boolean {
    return this.#cancel !== undefined;
  }

  schedule(): void {
    if (this.#cancel !== undefined) return;
    this.#cancel = this.#clock.after(this.#delayMs, () => {
      this.#cancel = undefined;
      this.#work();
    });
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
