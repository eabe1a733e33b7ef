import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { printSchedule } from '../schedule/schedule.ts';
import { ExhaustiveSearch } from './exhaustive.ts';
import type { Search, SearchOutcome } from './outcome.ts';
import { replay } from './replay.ts';
import { Pct, SampleSearch, uniform } from './sample.ts';
import { shrink } from './shrink.ts';
import { makeStep, type Space } from './space.ts';
import { digits, fickle, lostUpdate } from './toys.fake.ts';
import { runTwice } from './twice.ts';

function finish(search: Search, piece = 7): SearchOutcome {
  for (;;) {
    const outcome = search.advance(piece);
    if (outcome !== undefined) return outcome;
  }
}

const printed = (space: Space, outcome: SearchOutcome): string => {
  assert.ok(outcome.kind === 'violated', outcome.kind);
  const run = replay(space, outcome.schedule);
  assert.deepEqual(run.violation, outcome.violation);
  return printSchedule(space.actors, outcome.schedule);
};

describe('ExhaustiveSearch', () => {
  it('finds a lost update, whichever way it goes, and names actors that really take the steps', () => {
    for (const order of ['depth', 'breadth'] as const) {
      const space = lostUpdate();
      const text = printed(space, finish(new ExhaustiveSearch(space, { order })));
      assert.ok(['0-1-0-1', '0-1-1-0', '1-0-1-0', '1-0-0-1'].includes(text), text);
    }
  });

  it('sees every state once', () => {
    const space = digits(3, -1);
    const outcome = finish(new ExhaustiveSearch(space));
    assert.equal(outcome.kind, 'holds');
    assert.equal(outcome.figures.states, 1 + 10 + 100 + 1000);
    assert.equal(space.taken(), 10 + 100 + 1000);
  });

  it('finds the one wrong end among all', () => {
    const space = digits(3, 407);
    assert.equal(printed(space, finish(new ExhaustiveSearch(space))), '0.4-0-0.7');
  });

  it('answers a bound as a bound', () => {
    const outcome = finish(new ExhaustiveSearch(digits(4, -1), { statesMax: 100 }));
    assert.equal(outcome.kind, 'bound');
  });

  it('tries all schedules up to a length, and says when there are longer ones', () => {
    const bounded = (depthMax: number): SearchOutcome =>
      finish(new ExhaustiveSearch(digits(3, 407), { order: 'breadth', depthMax }));
    const short = bounded(2);
    assert.ok(short.kind === 'bound' && short.bound === 'depth');
    assert.deepEqual([short.figures.states, short.figures.depthMax], [111, 2]);
    assert.equal(bounded(3).kind, 'violated');
    const right = finish(new ExhaustiveSearch(digits(3, -1), { order: 'breadth', depthMax: 3 }));
    assert.deepEqual([right.kind, right.figures.depthMax], ['holds', 3]);
  });

  it('goes on from a checkpoint to the same figures and the same answer', () => {
    for (const order of ['depth', 'breadth'] as const) {
      const whole = finish(new ExhaustiveSearch(digits(3, -1), { order }));
      const first = new ExhaustiveSearch(digits(3, -1), { order });
      assert.equal(first.advance(300), undefined);
      const rest = finish(new ExhaustiveSearch(digits(3, -1), { order }, first.checkpoint()));
      assert.deepEqual(rest, whole);
    }
  });
});

describe('sampling', () => {
  it('finds the lost update by chance and by PCT, the same one for the same seed', () => {
    for (const make of [() => uniform, () => new Pct(1, 4)]) {
      const runOnce = (): string => {
        const space = lostUpdate();
        return printed(space, finish(new SampleSearch(space, make(), { seed: 1, schedules: 200 })));
      };
      assert.equal(runOnce(), runOnce());
    }
  });

  it('runs as many schedules as asked for, and claims no more', () => {
    const outcome = finish(new SampleSearch(digits(2, -1), uniform, { seed: 1, schedules: 50 }));
    assert.deepEqual(outcome, {
      kind: 'holds',
      isExhaustive: false,
      figures: { states: 0, steps: 100, schedules: 50, depthMax: 2 },
    });
  });
});

describe('replay', () => {
  it('stops at a step that nobody can take', () => {
    assert.equal(replay(lostUpdate(), [0, 0, 0]).refusedAt, 2);
  });
});

describe('shrink', () => {
  it('leaves out what is not needed', () => {
    const space = withNoise(lostUpdate());
    const long = [0, 0, 0, 1, 2, 2, 2, 1, 2].map((actor) => makeStep(actor));
    const result = shrink(
      space,
      [2, 2, 0, 2, 1, 2, 2, 0, 2, 1].map((actor) => makeStep(actor)),
      'counts',
    );
    assert.equal(printSchedule(space.actors, result?.schedule ?? []), '0-1-0-1');
    assert.equal(shrink(space, long, 'counts'), undefined, 'nothing was lost here');
  });
});

/** A third actor that may always do something, which changes nothing and ends no run. */
function withNoise(space: Space): Space {
  return {
    ...space,
    actors: [...space.actors, '2'],
    steps(state, out) {
      space.steps(state, out);
      if (out.length > 0) out.push(makeStep(2));
    },
    apply(state, step, into) {
      if (step !== makeStep(2)) return space.apply(state, step, into);
      into.set(state);
      return 0;
    },
    describe: (state, step) => (step === makeStep(2) ? '2 hums' : space.describe(state, step)),
  };
}

describe('runTwice', () => {
  const options = { seed: 1, schedules: 20, stepsMax: 10 };

  it('has nothing to say about what the schedule alone decides', () => {
    assert.equal(
      runTwice(() => lostUpdate(3), options),
      undefined,
    );
  });

  it('tells what does not run the same way twice', () => {
    assert.ok(runTwice(() => fickle(lostUpdate(3)), options) !== undefined);
  });
});
