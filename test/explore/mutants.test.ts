/** The corpus of known bugs: each is found, quickly, with a short schedule that replays; without it the scenario holds. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { MUTANTS } from '../../src/explore/index.ts';
import { loadScenario, replayLine, run, scenarioNames } from './support.ts';

const STEPS_MAX = 25;

describe('mutants', () => {
  for (const mutant of MUTANTS.values()) {
    it(`${mutant.name} is found where it shows, and nowhere else`, async () => {
      const { name, mutation } = mutant;
      const scenario = loadScenario(mutant.scenario);
      for (const fetch of ['weak', 'quad', 'line', 'sc'] as const) {
        const result = await run({ scenario: { ...scenario, fetch }, mutation, maxMs: 10_000 });
        if (!mutant.models.includes(fetch)) {
          assert.equal(result.outcome, 'holds', `${fetch}: ${replayLine(mutant.scenario, result.shrunk, name)}`);
          continue;
        }
        assert.equal(result.outcome, 'violated', `${name} was not found under ${fetch}`);
        assert.equal(result.violation?.property, mutant.breaks, replayLine(mutant.scenario, result.shrunk, name));
        const schedule = result.shrunk ?? '';
        assert.ok(schedule.split('-').length <= STEPS_MAX, `${fetch}: ${schedule}`);
        const again = await run({
          scenario: { ...scenario, fetch },
          mutation,
          strategy: { kind: 'replay', schedule },
        });
        assert.deepEqual(again.violation, result.violation);
      }
    });

    it(`${mutant.name} has a page that tells its story and a scenario that holds without it`, () => {
      assert.ok(scenarioNames().includes(mutant.scenario));
      const page = new URL(`../../docs/mutants/${mutant.name}.md`, import.meta.url);
      assert.ok(existsSync(page));
      const text = readFileSync(page, 'utf8');
      for (const part of [mutant.title, mutant.breaks, mutant.differs, ...mutant.story, ...mutant.sources])
        assert.ok(text.includes(part), part);
    });
  }

  it('are found by chance, too, when the fault is not deep', async () => {
    const mutant = MUTANTS.get('tail-before-int3');
    assert.ok(mutant);
    for (const strategy of [
      { kind: 'random', seed: 1, schedules: 5_000 },
      { kind: 'pct', seed: 1, schedules: 5_000, changes: 2 },
    ] as const) {
      const result = await run({ scenario: loadScenario(mutant.scenario), mutation: mutant.mutation, strategy });
      assert.equal(result.violation?.property, mutant.breaks, strategy.kind);
    }
  });

  it('the middle sync is not missed where a line is fetched at one moment and holds the whole site', async () => {
    const mutation = MUTANTS.get('no-sync-after-tail')?.mutation ?? {};
    const within = { ...loadScenario('int3-call'), fetch: 'line' } as const;
    assert.equal((await run({ scenario: within, mutation })).outcome, 'holds');
    assert.equal((await run({ scenario: { ...within, fetch: 'weak' }, mutation })).outcome, 'violated');
  });
});
