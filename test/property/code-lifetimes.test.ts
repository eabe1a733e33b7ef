/**
 * Invariant 6: generated code is freed only when no CPU can be in it. Goal: tasks are put into functions, programs, trampolines, slots and handlers
 * while owners come and go; nothing that a task is in, comes back to, or may just be entering is freed. Method: the account of who is where
 * is kept by the test, from places alone; the registry decides by grace periods.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { initialState, type KernelState } from '../../src/registry/index.ts';
import { builtinImage } from '../support/images.ts';
import { checkProperty } from '../support/property.ts';
import { RegistryLab } from '../support/registry-lab.ts';
import { CodeLifetimes, step } from './code-lifetimes.ts';

const FILE = 'test/property/code-lifetimes.test.ts';

const steps = fc.array(step, { minLength: 1, maxLength: 40 });

/** Forgets tasks while it decides about owners: grace periods pass at once. */
class HastyLab extends RegistryLab {
  override detach(id: string): ReturnType<RegistryLab['detach']> {
    const { tasks } = this.state;
    this.state = { ...this.state, tasks: tasks.clear() };
    const decision = super.detach(id);
    this.state = { ...this.state, tasks };
    return decision;
  }
}

describe('generated code', () => {
  for (const strictness of ['safe', 'linux'] as const)
    it(`is freed only when nobody can be in it, ${strictness}`, async () => {
      const image = await builtinImage();
      const lab = new RegistryLab(image, strictness);
      const fresh: KernelState = initialState(lab.world);
      let waited = 0;
      await checkProperty(
        FILE,
        fc.asyncProperty(steps, async (all) => {
          lab.restart(fresh);
          const lifetimes = new CodeLifetimes(lab);
          for (const each of all) {
            assert.equal(lifetimes.act(each), undefined);
            assert.deepEqual(lab.orphans(), []);
          }
          assert.equal(lifetimes.leave(), undefined);
          // What Linux leaves behind (a ghost on the kprobe list) stays.
          if (strictness === 'safe') assert.equal(lab.state.arena.allocations.size, 0, 'all of it is freed in the end');
          assert.equal(lab.state.lingering.size, 0);
          waited += lifetimes.waited;
        }),
        500,
      );
      assert.ok(waited > 50, `${waited} pieces had to wait for somebody`);
    });

  it('is reported by this test when it is freed too early', async () => {
    const lab = new HastyLab(await builtinImage(), 'safe');
    const fresh = initialState(lab.world);
    const found = fc.check(
      fc.property(steps, (all) => {
        lab.restart(fresh);
        const lifetimes = new CodeLifetimes(lab);
        for (const each of all) assert.equal(lifetimes.act(each), undefined);
      }),
      { numRuns: 2_000, seed: 1 },
    );
    assert.equal(found.failed, true);
    assert.match(String(found.errorInstance), /was freed while/);
  });
});
