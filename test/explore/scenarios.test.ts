/** Every scenario file, exhaustively under every fetch model, and what the reduction may not change. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../src/base/index.ts';
import { runTwice, World } from '../../src/explore/index.ts';
import { TextMutex } from '../../src/textpoke/index.ts';
import { loadScenario, replayLine, run, scenarioNames } from './support.ts';

/** States of an exhaustive search under `weak`: a change of protocol, model or reduction changes them, and has to say so here. */
const STATES: Readonly<Record<string, number>> = {
  'batch-of-3': 3233,
  'cpu-hotplug': 4544,
  'fentry-detach': 1037,
  'fentry-detach-sleepable': 248,
  'fexit-detach': 346,
  'foreign-bytes': 75,
  'int3-call': 9915,
  'int3-call-and-back': 1625,
  'int3-call-irqs-off': 23385,
  'int3-call-straddling': 9915,
  'int3-call-straddling-pages': 9915,
  'int3-jcc': 4117,
  'int3-jcc-within': 4117,
  'int3-jump-label': 4437,
  'int3-jump-label-within': 4437,
  'int3-one-byte': 2776,
  'kprobe-before-jump-target': 197,
  'kprobe-optimize': 20368,
  'kprobe-unregister': 5548,
  'modify-direct': 9229,
  'optimizer-and-ftrace': 1621,
  'poke-beside-kprobe': 3231,
  'queue-then-single': 2063,
  'trampoline-and-ipmodify': 1116,
};

/** Does not hold, and says why in its own words. */
const BROKEN = 'fentry-detach-sleepable-6.12';
/** Millions of states, so under the weakest model only. */
const LONG = 'three-cpus-nmi';
const LONG_STATES = 2_217_201;

describe('scenarios', () => {
  for (const name of scenarioNames()) {
    if (name === BROKEN || name === LONG) continue;
    it(`${name} holds under every fetch model`, async () => {
      const scenario = loadScenario(name);
      assert.equal(scenario.fetch, 'weak');
      for (const fetch of ['weak', 'quad', 'line', 'sc'] as const) {
        const result = await run({ scenario: { ...scenario, fetch } });
        assert.equal(result.outcome, 'holds', replayLine(name, result.shrunk));
        assert.ok(result.isExhaustive);
        if (fetch === 'weak') assert.equal(result.figures.states, STATES[name]);
      }
    });
  }

  it('has a figure for each of them', () => {
    assert.deepEqual(
      scenarioNames().filter((name) => name !== BROKEN && name !== LONG),
      Object.keys(STATES).sort(),
    );
  });

  it(`${LONG} holds`, async () => {
    const result = await run({ scenario: loadScenario(LONG) });
    assert.equal(result.outcome, 'holds', replayLine(LONG, result.shrunk));
    assert.ok(result.isExhaustive);
    assert.equal(result.figures.states, LONG_STATES);
  });

  it('finds the window in the grace periods of 6.12 under full preemption', async () => {
    const result = await run({ scenario: loadScenario(BROKEN) });
    assert.equal(result.violation?.property, 'no-freed');
    const words = result.trace?.steps.map(({ actor, what }) => `${actor} ${what}`) ?? [];
    const [waits, enters, sleeps] = ['A waits for rcu_tasks_trace', '0 rcu_read_lock_trace', '0 goes to sleep'].map(
      (each) => words.indexOf(each),
    );
    assert.ok((waits ?? 0) > 0 && (waits ?? 0) < (enters ?? 0) && (enters ?? 0) < (sleeps ?? 0), words.join('; '));
  });
});

const SMALL = ['int3-jump-label', 'batch-of-3', 'queue-then-single', 'foreign-bytes', 'optimizer-and-ftrace'];

describe('the reduction', () => {
  for (const name of [...SMALL, 'int3-call-irqs-off']) {
    it(`does not change what is found in ${name}`, async () => {
      const scenario = loadScenario(name);
      const whole = await run({ scenario, isUnreduced: true });
      const reduced = await run({ scenario });
      assert.equal(whole.outcome, 'holds', replayLine(name, whole.shrunk));
      assert.ok(whole.figures.states > reduced.figures.states);
    });
  }
});

describe('determinism', () => {
  for (const name of scenarioNames()) {
    it(`${name} runs the same way twice, in a new world and in one that has run before`, async () => {
      const mutex = new TextMutex({ clock: new ManualClock() });
      const scenario = loadScenario(name);
      const done = await mutex.run({ client: 'test', what: name }, (held) =>
        runTwice(() => new World({ held, scenario }), { seed: 7, schedules: 8, stepsMax: 150 }),
      );
      assert.ok(done.ok);
      assert.equal(done.value, undefined, done.value?.what);
    });
  }
});
