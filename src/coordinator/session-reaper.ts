import type { Kernel } from './kernel.ts';
import type { Caller } from './service.ts';
import { END_SESSION, type Session } from './sessions.ts';

/** Who ends what nobody keeps alive. */
const REAPER: Caller = { client: 'session-reaper', tenant: 'service', isAdmin: true, requestId: 'session-reaper' };
/** Between two attempts to end a session of which something cannot be detached yet. */
const RETRY_MS = 1_000;

/**
 * Ends sessions whose time has passed. Time is monotonic: setting the machine's clock ends nobody. After a restart each session has its whole time
 * to live again: its client could not reach the service meanwhile.
 */
export class SessionReaper {
  readonly #kernel: Kernel;
  readonly #deadlinesUs = new Map<string, number>();
  readonly #cancels = new Map<string, () => void>();
  readonly #unsubscribe: () => void;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#unsubscribe = kernel.onCommandDone(() => this.#follow());
    this.#follow();
  }

  touch({ id, ttlMs }: Session): void {
    this.#deadlinesUs.set(id, this.#kernel.clock.monotonicUs() + ttlMs * 1000);
  }

  /** Its time is over; it is ended as soon as that can be. */
  expire(id: string): void {
    this.#deadlinesUs.set(id, 0);
    this.#watch(id, RETRY_MS);
  }

  remainingMs(id: string): number {
    const deadlineUs = this.#deadlinesUs.get(id) ?? 0;
    return Math.max(0, (deadlineUs - this.#kernel.clock.monotonicUs()) / 1000);
  }

  stop(): void {
    this.#unsubscribe();
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  /** Watches sessions that are new, and forgets those that are gone. */
  #follow(): void {
    const { sessions } = this.#kernel.leases;
    for (const session of sessions.values()) {
      if (this.#deadlinesUs.has(session.id)) continue;
      this.touch(session);
      this.#watch(session.id, session.ttlMs);
    }
    for (const id of this.#deadlinesUs.keys()) {
      if (sessions.has(id)) continue;
      this.#deadlinesUs.delete(id);
      this.#cancels.get(id)?.();
      this.#cancels.delete(id);
    }
  }

  #watch(id: string, ms: number): void {
    this.#cancels.get(id)?.();
    const look = (): void => {
      const leftMs = this.remainingMs(id);
      if (leftMs > 0) this.#watch(id, leftMs);
      else this.#end(id);
    };
    this.#cancels.set(id, this.#kernel.clock.after(ms, look));
  }

  #end(id: string): void {
    const retry = (): void => {
      if (this.#kernel.violation === undefined && this.#deadlinesUs.has(id)) this.#watch(id, RETRY_MS);
    };
    this.#kernel.execute(END_SESSION, REAPER, { id, because: 'expired' }).then((done) => {
      if (!done.ok || done.value.remaining > 0) retry();
    }, retry);
  }
}
