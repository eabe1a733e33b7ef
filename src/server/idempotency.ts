/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the first request with a key runs, its answer is kept; a repeat gets that
 * answer, a repeat that comes while the first still runs waits for it. Bounded by number, bytes and age; the oldest go first.
 */
import type { Clock } from '../base/index.ts';

export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Begin =
  | { readonly kind: 'first' }
  | { readonly kind: 'conflict' }
  /** Resolves undefined when the first request ended without an answer worth keeping: try again. */
  | { readonly kind: 'wait'; readonly answer: Promise<StoredAnswer | undefined> };

/** An answer of an earlier run of the service. */
export interface RestoredAnswer {
  readonly scope: string;
  readonly hash: string;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  readonly answer: StoredAnswer;
}

export interface IdempotencyStore {
  /** `scope` is tenant and key, `hash` stands for the whole request. */
  begin(scope: string, hash: string): Begin;
  /** Ends what `begin` answered `first` to; without an answer the key is free again. */
  finish(scope: string, answer: StoredAnswer | undefined): void;
  /** Oldest first, before any request. */
  restore(restored: RestoredAnswer): void;
  readonly size: number;
}

export interface IdempotencyLimits {
  readonly entries: number;
  readonly bytes: number;
  readonly ttlMs: number;
}

export const IDEMPOTENCY_LIMITS: IdempotencyLimits = { entries: 10_000, bytes: 64 << 20, ttlMs: 24 * 3600 * 1000 };

interface Entry {
  readonly hash: string;
  /** On the clock that never jumps: setting the machine's time must not make a service forget what it has answered. */
  readonly expiresUs: number;
  readonly settled: Promise<StoredAnswer | undefined>;
  readonly settle: (answer: StoredAnswer | undefined) => void;
  bytes: number;
  isPending: boolean;
}

/** About what an entry takes in memory. */
const bytesOf = (scope: string, answer: StoredAnswer): number => Buffer.byteLength(answer.body) + scope.length + 200;

export function createIdempotencyStore(clock: Clock, limits: IdempotencyLimits = IDEMPOTENCY_LIMITS): IdempotencyStore {
  // A Map keeps insertion order: the first key is the oldest.
  const entries = new Map<string, Entry>();
  let bytes = 0;

  const drop = (scope: string, entry: Entry): void => {
    entries.delete(scope);
    bytes -= entry.bytes;
  };
  const evict = (): void => {
    const nowUs = clock.monotonicUs();
    for (const [scope, entry] of entries) {
      const isOver = entries.size > limits.entries || bytes > limits.bytes;
      if (!isOver && entry.expiresUs > nowUs) return;
      if (!entry.isPending) drop(scope, entry);
    }
  };

  return {
    begin(scope, hash) {
      evict();
      const known = entries.get(scope);
      if (known !== undefined) {
        return known.hash === hash ? { kind: 'wait', answer: known.settled } : { kind: 'conflict' };
      }
      let settle: Entry['settle'] = () => {};
      const settled = new Promise<StoredAnswer | undefined>((resolve) => {
        settle = resolve;
      });
      const expiresUs = clock.monotonicUs() + limits.ttlMs * 1000;
      entries.set(scope, { hash, expiresUs, settled, settle, bytes: 0, isPending: true });
      return { kind: 'first' };
    },
    restore({ scope, hash, sinceMs, answer }) {
      const size = bytesOf(scope, answer);
      const ageMs = Math.max(0, clock.now() - sinceMs);
      const expiresUs = clock.monotonicUs() + (limits.ttlMs - ageMs) * 1000;
      const entry = { hash, expiresUs, settle: () => {}, bytes: size, isPending: false };
      entries.set(scope, { ...entry, settled: Promise.resolve(answer) });
      bytes += size;
      evict();
    },
    finish(scope, answer) {
      const entry = entries.get(scope);
      if (entry?.isPending !== true) return;
      entry.isPending = false;
      if (answer === undefined) {
        drop(scope, entry);
      } else {
        entry.bytes = bytesOf(scope, answer);
        bytes += entry.bytes;
      }
      entry.settle(answer);
      evict();
    },
    get size() {
      return entries.size;
    },
  };
}
