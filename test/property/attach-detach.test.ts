/**
 * Random histories of attaching, detaching, disabling and enabling. Goal: at every step all changed bytes are accounted for, a plan says
 * what attaching then does, a refusal changes nothing, and when all have left in any order the text is as it was. Method: few functions at a
 * time, so that owners meet; the built-in kernel often, a real one less often, both strictnesses.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock, seededPrng } from '../../src/base/index.ts';
import { type Coordinator, OWNER_KINDS, type Strictness } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { checkProperty } from '../support/property.ts';
import { RandomHistory } from './random-history.ts';
import { type Action, action, type FunctionPlaces, placesOf, SHAPES } from './random-requests.ts';

const FILE = 'test/property/attach-detach.test.ts';

/** Linux pokes the call in here whatever is there; a probe in it belongs to nobody's model (refused by `safe`). */
const UNMODELLED = new Set(['ftrace_call', 'ftrace_regs_call']);

/** Linux stops with BUG when a static call is updated whose trampoline has a probe (refused by `safe`): nobody leaves after that. */
const isTrampoline = (name: string): boolean => name.startsWith('__SCT__');

/** In Linux a breakpoint makes other owners fail for good; its own tests have those cases. */
const isBreakpoint = (action: Action): boolean => action.kind === 'attach' && action.request.kind === 'kgdb';

/** Up to `count` functions, spread over the kernel; the same ones in every run. */
function pool(image: KernelImage, coordinator: Coordinator, count: number): readonly FunctionPlaces[] {
  const isOdd = (name: string): boolean =>
    coordinator.image().strictness === 'linux' && (UNMODELLED.has(name) || isTrampoline(name));
  const names = [...new Set([...image.symbols.matching('*')].map((symbol) => symbol.name))].filter((n) => !isOdd(n));
  const random = seededPrng(7);
  const chosen = names.length <= count ? names : Array.from({ length: count }, () => names[random.below(names.length)]);
  return chosen.flatMap((name) => {
    const places = name === undefined ? undefined : placesOf(coordinator, name);
    if (name === undefined || places === undefined) return [];
    // Thunks, entry code and the like are half of the built-in kernel and take next to nothing.
    const symbol = coordinator.symbol(name);
    return symbol.ok && symbol.value.attachable.ftrace ? [places, places, places, places] : [places];
  });
}

async function histories(image: KernelImage, strictness: Strictness, runs: number): Promise<void> {
  const clock = new ManualClock();
  const coordinator = testCoordinator(image, strictness, 1, clock);
  const functions = pool(image, coordinator, 400);
  const totals = { granted: 0, refused: 0, leaks: 0 };
  const property = fc
    .asyncProperty(
      fc.array(fc.nat(functions.length - 1), { minLength: 1, maxLength: 3 }),
      fc.array(action, { minLength: 1, maxLength: 30 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 10 }),
      async (chosen, actions, leaving) => {
        const history = new RandomHistory(
          coordinator,
          clock,
          chosen.map((index) => functions[index] as FunctionPlaces),
        );
        for (const each of actions) if (strictness === 'safe' || !isBreakpoint(each)) await history.act(each);
        await history.leaveAll(leaving);
        totals.granted += history.granted;
        totals.refused += history.refused;
        if (history.sawLeak) totals.leaks += 1;
      },
    )
    // A failed run leaves owners behind; the next one must not meet them.
    .beforeEach(async () => {
      const reset = await coordinator.reset(caller(), true);
      assert.ok(reset.ok);
    });
  await checkProperty(FILE, property, runs);
  // The property would hold for requests that are all refused, too.
  assert.ok(
    totals.granted * 4 > totals.refused,
    `${totals.granted} of ${totals.granted + totals.refused} requests were granted`,
  );
  assert.ok(totals.refused > 0);
  if (strictness === 'safe') assert.equal(totals.leaks, 0, 'safe strictness never warns of what Linux leaves behind');
}

describe('random histories', () => {
  it('ask for every kind', () => {
    assert.deepEqual(Object.keys(SHAPES).sort(), [...OWNER_KINDS].sort());
  });

  for (const strictness of ['safe', 'linux'] as const) {
    it(`hold on the built-in kernel, ${strictness}`, async () => histories(await builtinImage(), strictness, 2_000));

    for (const [kernel, runs] of [
      [RECORDED_6_12, 300],
      [RECORDED_6_1, 100],
    ] as const) {
      const { path, skip } = realKernel(kernel);
      it(`hold on ${kernel}, ${strictness}`, { skip }, async () =>
        histories(await kernelImage(path), strictness, runs),
      );
    }
  }
});
