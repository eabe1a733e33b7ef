/** The seams at which a service meets its machine, as they are when faults are injected: with nothing armed they do what they always did. */
import type { Clock } from '../../base/index.ts';
import type { JournalStore } from '../../journal/index.ts';
import type { FaultBook } from './fault-book.ts';

/** Its time of day jumps; time that has passed and timers do not, as on a machine whose clock is set. */
export const faultyClock = (clock: Clock, book: FaultBook): Clock => ({
  now: () => clock.now() + book.jumpedMs,
  monotonicUs: () => clock.monotonicUs(),
  after: (ms, callback) => clock.after(ms, callback),
});

/** Commits fail for want of room, or take their time. */
export const faultyStore = (store: JournalStore, book: FaultBook): JournalStore => ({
  async commit(batch) {
    if (book.take('journal-full') !== undefined)
      throw Object.assign(new Error('no space left: injected'), { code: 'ENOSPC' });
    const stall = book.take('journal-stall');
    if (stall !== undefined) await book.holdUp(stall, stall.options.ms ?? 0);
    await store.commit(batch);
  },
  get: (key) => store.get(key),
  entries: (kind) => store.entries(kind),
  close: () => store.close(),
});
