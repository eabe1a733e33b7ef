/**
 * text_mutex (kernel/extable.c, 6.12): the one lock around every write of kernel text. async-mutex gives the queue; what it lacks is added
 * here: an owner, a token that proves the lock is held, a bound, a deadline, an abort, and an answer instead of a deadlock on re-entry.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Mutex } from 'async-mutex';
import { type Clock, err, FairLine, type Fault, invariant, ok, type Result } from '../base/index.ts';
import { type Quantiles, RecentQuantiles } from './recent-quantiles.ts';

declare const heldBrand: unique symbol;

/**
 * Proof that text_mutex is held: whatever changes text asks for it (lockdep_assert_held at compile time). Only {@link TextMutex.run} makes one,
 * and it dies when the body ends.
 */
export interface TextMutexHeld {
  readonly [heldBrand]: true;
  readonly client: string;
  readonly what: string;
}

const ALIVE = new WeakSet<object>();

/** lockdep_assert_held(&text_mutex): throws InvariantViolation for a token whose body has ended, and for one that nobody gave out. */
export function assertHeld(held: TextMutexHeld): void {
  invariant(ALIVE.has(held), 'text_mutex is not held: the token is dead or was not made by TextMutex.run');
}

/** What an AbortSignal offers to somebody who waits; cheaper things do, too. */
export interface AbortNotice {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Who asks for the lock and how long they will wait. */
export interface TextMutexRequest {
  readonly client: string;
  /** What they will do with it, for people who wait: `"attach fentry tcp_set_state"`. */
  readonly what: string;
  /** Gives up waiting; work that has begun goes on to its end, because half a poke is no state to stop in. */
  readonly signal?: AbortNotice;
  /** Longest wait, in milliseconds from the call. */
  readonly deadlineMs?: number;
}

export interface TextMutexObserver {
  /** The lock was taken after waiting so many milliseconds. */
  readonly onAcquired?: (waitMs: number) => void;
  /** The lock was released; it was held so many milliseconds. */
  readonly onReleased?: (holdMs: number) => void;
  readonly onRefused?: (rule: TextMutexRule) => void;
}

export type TextMutexRule =
  | 'text-mutex.queue-full'
  | 'text-mutex.deadline'
  | 'text-mutex.aborted'
  | 'text-mutex.reentered';

export interface TextMutexState {
  /** `"client: what"`. */
  readonly holder: string | null;
  /** Milliseconds since 1970, as all `sinceMs`. */
  readonly heldSinceMs: number | null;
  /** Next one first, without those that gave up. */
  readonly waiting: readonly { readonly client: string; readonly sinceMs: number }[];
  readonly acquisitions: number;
  /** Of the last {@link SAMPLES} acquisitions. */
  readonly waitMs: Quantiles;
  readonly holdMs: Quantiles;
}

/** What waits takes memory, and a client that waits behind so many has better things to do. */
export const TEXT_MUTEX_QUEUE_MAX = 1_024;

const SAMPLES = 1_024;

interface Waiter {
  readonly client: string;
  readonly request: TextMutexRequest;
  readonly sinceMs: number;
  readonly sinceUs: number;
  /** Undefined once the waiter has its turn or has given up. */
  giveUp: ((rule: 'text-mutex.deadline' | 'text-mutex.aborted') => void) | undefined;
  stopWatching: () => void;
  /** Runs its work; the lock is taken for it. Never throws; a promise when the work goes on. */
  serve: () => Promise<void> | undefined;
}

export class TextMutex {
  readonly #clock: Clock;
  readonly #queueMax: number;
  readonly #observer: TextMutexObserver;
  readonly #mutex = new Mutex();
  readonly #context: AsyncLocalStorage<TextMutexHeld> | undefined;
  /** Token of the body that runs at this moment, between two awaits. */
  #current: TextMutexHeld | undefined;
  readonly #waiting = new FairLine<Waiter>();
  readonly #waits = new RecentQuantiles(SAMPLES);
  readonly #holds = new RecentQuantiles(SAMPLES);
  /** True while somebody has the lock, and until the next one is chosen. */
  #isTaken = false;
  #acquisitions = 0;
  #holder: { readonly held: TextMutexHeld; readonly sinceMs: number } | undefined;

  /**
   * `followsAwaits: false`: a body that asks again behind an await of its own waits for ever instead of being refused. Following it there costs
   * every promise of the process a hook.
   */
  constructor(options: {
    readonly clock: Clock;
    readonly queueMax?: number;
    readonly observer?: TextMutexObserver;
    readonly followsAwaits?: boolean;
  }) {
    this.#clock = options.clock;
    this.#context = options.followsAwaits === false ? undefined : new AsyncLocalStorage();
    this.#queueMax = options.queueMax ?? TEXT_MUTEX_QUEUE_MAX;
    this.#observer = options.observer ?? {};
    invariant(Number.isInteger(this.#queueMax) && this.#queueMax >= 0, 'queueMax must be an integer, 0 or more');
  }

  /**
   * Runs `body` alone: first come first served within a client, one turn each around the clients. Refusals are returned: EAGAIN `text-mutex.queue-full`, ETIMEDOUT `text-mutex.deadline`, ECANCELED
   * `text-mutex.aborted` (these two at once, and the work is skipped when its turn comes), EDEADLK `text-mutex.reentered`. What `body`
   * throws is thrown here, after the release.
   */
  run<T>(request: TextMutexRequest, body: (held: TextMutexHeld) => T | Promise<T>): Promise<Result<T>> {
    const refusal = this.#refuse(request);
    if (refusal !== undefined) return Promise.resolve(this.#refused(refusal, request));
    return new Promise<Result<T>>((resolve, reject) => {
      const waiter = this.#enqueue(request, (rule) => resolve(this.#refused(rule, request)));
      const ended = (result: Result<T> | undefined): void => {
        // Undefined: it gave up at the last moment, and was answered then.
        if (result !== undefined) resolve(result);
      };
      waiter.serve = () => {
        try {
          const turn = this.#takeTurn(waiter, body);
          if (turn instanceof Promise) return turn.then(ended, reject);
          ended(turn);
        } catch (error) {
          reject(error);
        }
        return undefined;
      };
      this.#serveNext();
    });
  }

  /** async-mutex never has more than the one whose turn it is: the order is {@link FairLine}'s. */
  #serveNext(): void {
    if (this.#isTaken) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#isTaken = true;
    void this.#mutex.acquire().then((release) => {
      const done = (): void => {
        release();
        this.#isTaken = false;
        this.#serveNext();
      };
      const serving = next.serve();
      if (serving === undefined) done();
      else void serving.then(done);
    });
  }

  state(): TextMutexState {
    const holder = this.#holder;
    return {
      holder: holder === undefined ? null : label(holder.held),
      heldSinceMs: holder?.sinceMs ?? null,
      waiting: [...this.#waiting].map((w) => ({ client: w.request.client, sinceMs: w.sinceMs })),
      acquisitions: this.#acquisitions,
      waitMs: this.#waits.read(),
      holdMs: this.#holds.read(),
    };
  }

  #refuse(request: TextMutexRequest): TextMutexRule | undefined {
    const mine = this.#current ?? this.#context?.getStore();
    // A task that a body left behind still carries the token of that body; only a living one means that waiting would never end.
    if (mine !== undefined && ALIVE.has(mine)) return 'text-mutex.reentered';
    if (request.signal?.aborted === true) return 'text-mutex.aborted';
    const ahead = this.#waiting.size + (this.#isTaken ? 1 : 0);
    return ahead > this.#queueMax ? 'text-mutex.queue-full' : undefined;
  }

  #enqueue(request: TextMutexRequest, answer: (rule: TextMutexRule) => void): Waiter {
    const waiter: Waiter = {
      client: request.client,
      request,
      sinceMs: this.#clock.now(),
      sinceUs: this.#clock.monotonicUs(),
      giveUp: (rule) => {
        this.#leaveLine(waiter);
        answer(rule);
      },
      stopWatching: () => undefined,
      serve: () => undefined,
    };
    this.#watch(waiter);
    this.#waiting.push(waiter);
    return waiter;
  }

  #watch(waiter: Waiter): void {
    const { signal, deadlineMs } = waiter.request;
    const onAbort = (): void => waiter.giveUp?.('text-mutex.aborted');
    signal?.addEventListener('abort', onAbort, { once: true });
    const cancelTimer =
      deadlineMs === undefined
        ? undefined
        : this.#clock.after(deadlineMs, () => waiter.giveUp?.('text-mutex.deadline'));
    waiter.stopWatching = () => {
      signal?.removeEventListener('abort', onAbort);
      cancelTimer?.();
    };
  }

  #leaveLine(waiter: Waiter): void {
    waiter.giveUp = undefined;
    waiter.stopWatching();
    this.#waiting.remove(waiter);
  }

  #takeTurn<T>(
    waiter: Waiter,
    body: (held: TextMutexHeld) => T | Promise<T>,
  ): Result<T> | Promise<Result<T>> | undefined {
    const waitMs = (this.#clock.monotonicUs() - waiter.sinceUs) / 1000;
    const { deadlineMs } = waiter.request;
    // A busy event loop may run this turn before the timer that was due earlier.
    if (deadlineMs !== undefined && waitMs > deadlineMs) waiter.giveUp?.('text-mutex.deadline');
    if (waiter.giveUp === undefined) return undefined;
    this.#leaveLine(waiter);
    return this.#hold(waiter.request, waitMs, body);
  }

  /** The lock is given back when the body has ended: at once, or when its promise settles. */
  #hold<T>(
    request: TextMutexRequest,
    waitMs: number,
    body: (held: TextMutexHeld) => T | Promise<T>,
  ): Result<T> | Promise<Result<T>> {
    const held = Object.freeze({ client: request.client, what: request.what }) as TextMutexHeld;
    const startUs = this.#clock.monotonicUs();
    ALIVE.add(held);
    this.#holder = { held, sinceMs: this.#clock.now() };
    this.#acquisitions++;
    this.#waits.add(waitMs);
    const release = (): void => {
      ALIVE.delete(held);
      this.#holder = undefined;
      const holdMs = (this.#clock.monotonicUs() - startUs) / 1000;
      this.#holds.add(holdMs);
      this.#observer.onReleased?.(holdMs);
    };
    let ended: T | Promise<T>;
    try {
      this.#observer.onAcquired?.(waitMs);
      ended = this.#within(held, body);
    } catch (error) {
      release();
      throw error;
    }
    if (ended instanceof Promise) return ended.then(ok).finally(release);
    release();
    return ok(ended);
  }

  #within<T>(held: TextMutexHeld, body: (held: TextMutexHeld) => T | Promise<T>): T | Promise<T> {
    this.#current = held;
    try {
      return this.#context === undefined ? body(held) : this.#context.run(held, () => body(held));
    } finally {
      this.#current = undefined;
    }
  }

  #refused(rule: TextMutexRule, request: TextMutexRequest): { readonly ok: false; readonly fault: Fault } {
    this.#observer.onRefused?.(rule);
    return err(this.#explain(rule, request));
  }

  #explain(rule: TextMutexRule, request: TextMutexRequest): Fault {
    const holder = this.#holder === undefined ? 'nobody' : `"${label(this.#holder.held)}"`;
    const wish = `"${label(request)}" wants text_mutex`;
    switch (rule) {
      case 'text-mutex.queue-full':
        return {
          errno: 'EAGAIN',
          rule,
          detail: `${wish}, which ${holder} holds, but ${this.#waiting.size} requests are waiting and the limit is ${this.#queueMax}.`,
          remedies: ['retry later'],
        };
      case 'text-mutex.deadline':
        return {
          errno: 'ETIMEDOUT',
          rule,
          detail: `${wish} within ${request.deadlineMs} ms, but it did not come free in that time; now ${holder} holds it.`,
          remedies: ['retry with a longer deadline'],
        };
      case 'text-mutex.aborted':
        return {
          errno: 'ECANCELED',
          rule,
          detail: `${wish}, but the caller gave up before its turn came; nothing was done.`,
        };
      case 'text-mutex.reentered':
        return {
          errno: 'EDEADLK',
          rule,
          detail: `${wish}, but it is running inside ${holder}, which holds it: waiting for itself would never end.`,
        };
    }
  }
}

const label = (who: { readonly client: string; readonly what: string }): string => `${who.client}: ${who.what}`;
