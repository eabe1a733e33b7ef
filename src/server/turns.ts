/**
 * Whose request is worked on next. Requests arrive in bursts: everything that the sockets have is read before anything else happens, and worked on in
 * that order a client with 64 connections would keep a neighbour waiting for 64 requests. So:
 *
 *  1. The first request of a round of the event loop is worked on at once.
 *  2. What comes after it in the same round waits in line, by client.
 *  3. Behind the reading some of those in line get their turn, one of each client around, for a short time; then the sockets are read again, and the
 *     disk is heard: a commit that has ended, and the next one that may begin, wait for a round to end, and all answers of that commit with it.
 *
 * Each turn is a task of its own, so that what it leads to without waiting (a command and its answer) is over before the next one.
 */
import { type Clock, FairLine } from '../base/index.ts';

/** Turns between two looks at the sockets, and how long a further one may still begin. */
const TURNS = 8;
const ROUND_US = 2_000;

interface Waiter {
  readonly client: string;
  readonly go: () => void;
}

export class Turns {
  readonly #clock: Clock;
  readonly #line = new FairLine<Waiter>();
  /** Somebody has had a turn in this round. */
  #isTaken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /** Calls `go` when it is this client's turn, at once when nobody else wants one. */
  take(client: string, go: () => void): void {
    if (this.#isTaken) {
      this.#line.push({ client, go });
      return;
    }
    this.#isTaken = true;
    setImmediate(() => this.#round());
    go();
  }

  #round(): void {
    if (this.#line.size === 0) {
      this.#isTaken = false;
      return;
    }
    setImmediate(() => this.#round());
    const endUs = this.#clock.monotonicUs() + ROUND_US;
    this.#line.shift()?.go();
    for (let turn = 1; turn < TURNS && turn <= this.#line.size; turn++) setImmediate(() => this.#further(endUs));
  }

  #further(endUs: number): void {
    if (this.#clock.monotonicUs() < endUs) this.#line.shift()?.go();
  }
}
