import type { Clock } from '../base/index.ts';

export interface OptimizerTimerOptions {
  readonly clock: Clock;
  /** The shortest time from kick to run. */
  readonly delayMs: number;
  /** The work is scheduled (kick_kprobe_optimizer). */
  readonly isKicked: () => boolean;
  /** Runs the optimizer under text_mutex. False: it could not, and has to be tried again. */
  readonly run: () => Promise<boolean>;
}

/** Behind this many delays it runs however busy the kernel is. */
const DELAYS_MAX = 25;

/**
 * The optimizer's delayed work. Linux promises that it does not run before the delay is over, and nothing about when it does: it waits its turn on
 * a work queue and for text_mutex. Here it waits for a pause, too, so that somebody in the middle of a series of requests finds the same text
 * from one request to the next.
 */
export class OptimizerTimer {
  readonly #options: OptimizerTimerOptions;
  #cancel: (() => void) | undefined;
  #kickedUs = 0;
  #lastUs = 0;
  #isStopped = false;

  constructor(options: OptimizerTimerOptions) {
    this.#options = options;
  }

  /** To be called after whatever may have kicked the optimizer. */
  poll(): void {
    if (this.#isStopped) return;
    const { clock, delayMs, isKicked } = this.#options;
    this.#lastUs = clock.monotonicUs();
    if (!isKicked()) this.#clear();
    else if (this.#cancel === undefined) {
      this.#kickedUs = this.#lastUs;
      this.#schedule(delayMs);
    }
  }

  /** Nothing runs by itself any more. */
  stop(): void {
    this.#isStopped = true;
    this.#clear();
  }

  #clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(ms: number): void {
    this.#cancel = this.#options.clock.after(ms, () => {
      this.#cancel = undefined;
      void this.#due();
    });
  }

  async #due(): Promise<void> {
    const { clock, delayMs, run } = this.#options;
    const nowUs = clock.monotonicUs();
    const quietMs = (nowUs - this.#lastUs) / 1000;
    if (quietMs < delayMs && (nowUs - this.#kickedUs) / 1000 < delayMs * DELAYS_MAX) {
      this.#schedule(delayMs - quietMs);
      return;
    }
    if (!(await run()) && !this.#isStopped && this.#cancel === undefined) this.#schedule(delayMs);
  }
}
