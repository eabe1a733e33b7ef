import type { Clock } from './clock.ts';
import { invariant } from './invariant.ts';

/** How far long work is. */
export interface Progress {
  /** What is being done: `updating records`. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
}

/**
 * Long work that can rest at each step. Who writes one makes sure that at a step nothing outside it has changed or is half changed; it does
 * not know whether it rests there, so its result cannot depend on that.
 */
export type Steps<T> = Generator<Progress, T, undefined>;

/** What is done at once, or in steps when there may be much of it. */
export type MaybeSteps<T> = T | Steps<T>;

/** Both as steps. A value is never iterable by itself here. */
export function* stepsOf<T extends object | undefined>(work: MaybeSteps<T>): Steps<T> {
  return isSteps(work) ? yield* work : work;
}

const isSteps = <T extends object | undefined>(work: MaybeSteps<T>): work is Steps<T> =>
  work !== undefined && Symbol.iterator in work;

/** Items between two steps: some tenths of a millisecond. */
const ITEMS = 256;

/** Visits all, with a step now and then and, of more than one, one at the end. */
export function* visitAll<T>(
  items: Iterable<T>,
  total: number,
  what: string,
  visit: (item: T, index: number) => void,
): Steps<void> {
  let done = 0;
  for (const item of items) {
    visit(item, done);
    done += 1;
    if (done % ITEMS === 0) yield { what, done, total };
  }
  if (done > 1 && done % ITEMS !== 0) yield { what, done, total };
}

/** Does it all at once. */
export function straight<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** How long the event loop is kept from anything else, when nothing else is said. */
const SLICE_US = 10_000;

export interface Slices {
  readonly clock: Clock;
  readonly sliceUs?: number;
  /** Runs one slice. */
  within<T>(body: () => T): T;
  /** The work rests here for one turn of the event loop. */
  onRest(progress: Progress): void;
}

/** What one slice came to. */
type Slice<T> = { readonly isOver: true; readonly value: T } | { readonly isOver: false; readonly progress: Progress };

function slice<T>(steps: Steps<T>, { clock, sliceUs = SLICE_US }: Slices): Slice<T> {
  const startUs = clock.monotonicUs();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { isOver: true, value: step.value };
    if (clock.monotonicUs() - startUs >= sliceUs) return { isOver: false, progress: step.value };
  }
}

/** A turn of the event loop: the sockets are read, and what waits to be done is done. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Does it in slices, with a turn of the event loop between two of them; at once, without a promise, what fits into one. */
export function inSlices<T>(steps: Steps<T>, slices: Slices): T | Promise<T> {
  const first = slices.within(() => slice(steps, slices));
  return first.isOver ? first.value : goOn(steps, slices, first);
}

async function goOn<T>(steps: Steps<T>, slices: Slices, first: Slice<T>): Promise<T> {
  let last = first;
  while (!last.isOver) {
    slices.onRest(last.progress);
    await turn();
    last = slices.within(() => slice(steps, slices));
  }
  invariant(last.isOver, 'steps go on to their end');
  return last.value;
}
