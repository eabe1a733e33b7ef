import { invariant } from '../../base/index.ts';
import { actorOf, alternativeOf, makeStep, type Space, type Step } from './space.ts';

/**
 * Two actors that each read a counter and write it back raised by one: the lost update. Violated when both have written and the counter is 1, by
 * schedules that read twice before the first write.
 */
export function lostUpdate(actors = 2): Space {
  // Words: counter, then for each actor 0 (to read), 1 + what it read (to write), or -1 (done).
  return {
    width: 1 + actors,
    actors: Array.from({ length: actors }, (_, i) => String(i)),
    initial: (into) => into.fill(0),
    steps(state, out) {
      out.length = 0;
      for (let actor = 0; actor < actors; actor++) if (state[1 + actor] !== -1) out.push(makeStep(actor));
    },
    apply(state, step, into) {
      const actor = actorOf(step);
      into.set(state);
      const mine = state[1 + actor] ?? 0;
      if (mine === 0) into[1 + actor] = 1 + (state[0] ?? 0);
      else {
        into[0] = mine;
        into[1 + actor] = -1;
      }
      return 0;
    },
    end: (state) => (state[0] === actors ? 0 : 1),
    violation: () => ({ property: 'counts', detail: 'an update was lost' }),
    describe: (state, step) => `${actorOf(step)} ${state[1 + actorOf(step)] === 0 ? 'reads' : 'writes'}`,
    render: (state) => state.join(),
    normalise: (state) => void state.subarray(1).sort(),
  };
}

/** Chooses digits of a number; wrong at one of them. Counts how many steps were ever taken. */
export function digits(length: number, wrong: number): Space & { readonly taken: () => number } {
  let taken = 0;
  return {
    width: 2,
    actors: ['0'],
    initial: (into) => into.fill(0),
    steps(state, out) {
      out.length = 0;
      if ((state[0] ?? 0) < length) for (let digit = 0; digit < 10; digit++) out.push(makeStep(0, 0, digit));
    },
    apply(state, step, into) {
      taken++;
      into[0] = (state[0] ?? 0) + 1;
      into[1] = (state[1] ?? 0) * 10 + alternativeOf(step);
      return 0;
    },
    end: (state) => (state[1] === wrong ? 1 : 0),
    violation: () => ({ property: 'right', detail: 'wrong number' }),
    describe: (_, step) => `0 takes ${alternativeOf(step)}`,
    render: (state) => state.join(),
    taken: () => taken,
  };
}

/** Does something else every other time it is asked: what the twice-run check is for. */
export function fickle(space: Space): Space {
  let asked = 0;
  return {
    ...space,
    apply(state: Int32Array, step: Step, into: Int32Array): number {
      invariant(step >= 0, 'a step');
      const violation = space.apply(state, step, into);
      if (++asked % 7 === 0) into[0] = (into[0] ?? 0) + 1;
      return violation;
    },
  };
}
