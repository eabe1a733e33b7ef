/** Reading what may come only later: a long poll. */
import type { Clock } from '../base/index.ts';
import type { Caller } from './service.ts';

const WAIT_MAX_MS = 60_000;

/** What is awaited, and who says that it may be there. */
export interface LongPoll<T> {
  /** Calls back when looking again may help; returns the unsubscriber. */
  onChange(listener: () => void): () => void;
  look(): T;
  /** Enough to answer with. */
  isThere(found: T): boolean;
}

/** Resolves at a change, when the caller is gone, or after some time. */
function nextChange(clock: Clock, caller: Caller, ms: number, onChange: LongPoll<never>['onChange']): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stopTimer();
      stopListening();
      caller.signal?.removeEventListener('abort', done);
      resolve();
    };
    const stopTimer = clock.after(ms, done);
    const stopListening = onChange(done);
    caller.signal?.addEventListener('abort', done);
  });
}

/** Looks until it is there, at most as long as was asked for and while somebody waits; what was found last. */
export async function waitFor<T>(clock: Clock, caller: Caller, waitMs: number, awaited: LongPoll<T>): Promise<T> {
  const deadlineUs = clock.monotonicUs() + Math.min(waitMs, WAIT_MAX_MS) * 1000;
  for (;;) {
    const found = awaited.look();
    const leftMs = Math.ceil((deadlineUs - clock.monotonicUs()) / 1000);
    if (awaited.isThere(found) || leftMs <= 0 || caller.signal?.aborted === true) return found;
    await nextChange(clock, caller, leftMs, awaited.onChange);
  }
}
