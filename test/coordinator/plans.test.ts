/**
 * Random plans. Goal: what a plan says is what attaching then does (verdict, errno, rule, holders, chain, bytes, cost), an order that
 * `solve: 'order'` finds really grants everything, and a conflict that it names really is one. Method: each plan is asked for, then carried
 * out step by step, after which every byte must be accounted for; then everything starts afresh and the order found is carried out. A
 * thousand plans on the built-in kernel, and a part of them on each recorded one. A canary proves that a plan which lies is reported.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AttachRequest, Coordinator, PlanAnswer, PlanStep, PlanStepAnswer } from '../../src/coordinator/index.ts';
import { action, concrete, type FunctionPlaces, placesOf, type RandomRequest } from '../property/random-requests.ts';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';
import { checkProperty } from '../support/property.ts';

const FILE = 'test/coordinator/plans.test.ts';
const WHO = caller('planner');
const FUNCTIONS = ['tcp_set_state', 'bpf_modify_return_test', 'vfs_read', 'security_file_open', 'bpf_fentry_test1'];

const request = action.filter((each) => each.kind === 'attach').map((each) => each.request);

/** Owners that decide about each other by who comes first. */
const MEETING: readonly Pick<AttachRequest, 'kind' | 'options'>[] = [
  { kind: 'kprobe' },
  { kind: 'kretprobe' },
  { kind: 'kprobe', options: { postHandler: true } },
  { kind: 'ftrace', options: { saveRegs: true } },
  { kind: 'fentry' },
  { kind: 'fexit' },
  { kind: 'livepatch', options: { patch: 'one' } },
  { kind: 'livepatch', options: { patch: 'one', replace: true } },
  { kind: 'ftrace_direct', options: { sharesIpmodify: true } },
];

type RandomStep =
  | { readonly kind: 'meeting'; readonly which: number; readonly func: number }
  | { readonly kind: 'attach'; readonly request: RandomRequest }
  | { readonly kind: 'detachStep'; readonly step: number }
  | { readonly kind: 'detachThere'; readonly which: number };

const step: fc.Arbitrary<RandomStep> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('attach' as const), request }) },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('meeting' as const),
      which: fc.oneof({ weight: 2, arbitrary: fc.nat(5) }, fc.nat(MEETING.length - 1)),
      func: fc.nat(1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('detachStep' as const), step: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('detachThere' as const), which: fc.nat(2) }) },
);

const randomPlan = fc.record({
  functions: fc.array(fc.nat(FUNCTIONS.length - 1), { minLength: 1, maxLength: 2 }),
  there: fc.array(request, { maxLength: 2 }),
  steps: fc.array(step, { minLength: 1, maxLength: 6 }),
});

/** Attaches what is there before; ids of what was granted. */
async function setUp(coordinator: Coordinator, requests: readonly AttachRequest[]): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const each of requests) {
    const done = await coordinator.attach(caller('earlier'), each, {});
    if (done.ok) ids.push(done.value.id);
  }
  return ids;
}

const orNone = (ids: readonly string[], index: number): string => ids[index % Math.max(1, ids.length)] ?? 'att_none';

function planSteps(steps: readonly RandomStep[], functions: readonly FunctionPlaces[], there: readonly string[]) {
  return steps.map((each): PlanStep => {
    if (each.kind === 'meeting') {
      const target = (functions[each.func % functions.length] as FunctionPlaces).name;
      return { attach: { ...(MEETING[each.which] as (typeof MEETING)[number]), target } };
    }
    if (each.kind === 'attach') return { attach: concrete(each.request, functions) };
    return { detach: each.kind === 'detachStep' ? `plan:${each.step % steps.length}` : orNone(there, each.which) };
  });
}

interface Outcome {
  readonly verdict: string;
  readonly rule: string | undefined;
  readonly errno: string | undefined;
  readonly holders: readonly string[];
  readonly sites: unknown;
  readonly cost: string;
  readonly warnings: readonly string[];
}

const costOf = ({
  pokes,
  batches,
  syncRounds,
}: PlanStepAnswer['cost'] | { pokes: number; batches: number; syncRounds: number }) =>
  `${pokes}/${batches}/${syncRounds}`;

const isRefused = ({ verdict }: PlanStepAnswer): boolean => verdict === 'refused' || verdict === 'unknown';

const saidOf = (planned: PlanStepAnswer): Outcome => ({
  // What no source settles is unknown to a plan and refused by an attach.
  verdict: planned.verdict === 'unknown' ? 'refused' : planned.verdict,
  rule: planned.rule,
  errno: planned.errno,
  holders: (planned.problem?.holders ?? []).map(({ attachment }) => attachment),
  sites: planned.sites,
  cost: isRefused(planned) ? '' : costOf(planned.cost),
  warnings: isRefused(planned) ? [] : planned.warnings,
});

/** Carries one step out; what a plan would have said of it. */
async function doStep(
  coordinator: Coordinator,
  each: PlanStep,
  ids: Map<string, string>,
  index: number,
): Promise<Outcome> {
  const real = (id: string): string => ids.get(id) ?? id;
  const done =
    'detach' in each
      ? await coordinator.detach(WHO, real(each.detach))
      : await coordinator.attach(WHO, each.attach, {});
  if (!done.ok) {
    const { rule, errno, holders = [] } = done.fault;
    return {
      verdict: 'refused',
      rule,
      errno,
      holders: holders.map((h) => h.attachment),
      sites: [],
      cost: '',
      warnings: [],
    };
  }
  const { id, verdict, sites = [], cost, warnings } = done.value;
  if (verdict !== 'detached') ids.set(`plan:${index}`, id);
  return { verdict, rule: undefined, errno: undefined, holders: [], sites, cost: costOf(cost), warnings };
}

/** With planned ids replaced by real ones; revisions go on counting when everything starts afresh. */
function plain(outcome: Outcome, ids: ReadonlyMap<string, string>, isAfresh: boolean): unknown {
  const text = JSON.stringify(outcome, (key, value) => (isAfresh && key === 'revision' ? 0 : value));
  return JSON.parse(text.replace(/plan:\d+|att_\w+/g, (id) => ids.get(id) ?? id));
}

/** `renamed`: attachments that have other ids than when it was planned, because everything started afresh. */
async function checkSteps(
  coordinator: Coordinator,
  steps: readonly PlanStep[],
  answer: PlanAnswer,
  renamed?: readonly (readonly [string, string])[],
): Promise<void> {
  const isAfresh = renamed !== undefined;

  const ids = new Map(renamed);
  for (const planned of answer.steps) {
    const each = steps[planned.index] as PlanStep;
    const done = await doStep(coordinator, each, ids, planned.index);
    // While the site's bytes are frozen or wrong nothing is compared less: a refusal is a refusal.
    assert.deepEqual(
      plain(saidOf(planned), ids, isAfresh),
      plain(done, ids, isAfresh),
      `step ${planned.index}: ${JSON.stringify(each)}`,
    );
  }
}

function permutations<T>(all: readonly T[]): readonly (readonly T[])[] {
  if (all.length === 0) return [[]];
  return all.flatMap((first, i) => permutations(all.filter((_, j) => j !== i)).map((rest) => [first, ...rest]));
}

function planned(coordinator: Coordinator, steps: readonly PlanStep[], solve?: 'order'): PlanAnswer {
  const answer = coordinator.plan(WHO, steps, undefined, solve === undefined ? {} : { solve });
  assert.ok(answer.ok);
  return answer.value;
}

const EXHAUSTIVE_MAX = 4;

/** No order of the conflict's steps grants all, and one does once any of them is left out. */
function checkConflict(coordinator: Coordinator, steps: readonly PlanStep[], answer: PlanAnswer): void {
  const { conflict } = answer;
  assert.ok(conflict !== undefined);
  const those = conflict.steps.map((index) => steps[index] as PlanStep);
  assert.ok(those.length > 0);
  // What makes room for others may be part of an order of any set.
  if (steps.some((each) => 'detach' in each || each.attach.options?.['replace'] === true)) return;
  if (those.length <= EXHAUSTIVE_MAX)
    for (const order of permutations(those)) assert.equal(planned(coordinator, order).wouldSucceed, false);
  for (const index of conflict.steps.keys()) {
    const fewer: readonly PlanStep[] = those.filter((_, i) => i !== index);
    if (fewer.length > 0) assert.equal(planned(coordinator, fewer, 'order').wouldSucceed, true);
  }
}

/** After a plan was carried out: no byte that nobody accounts for, unless Linux left it or ftrace died. */
function checkText(coordinator: Coordinator): void {
  const audit = coordinator.audit();
  const died = coordinator.plan(WHO, [{ attach: { kind: 'ftrace', target: FUNCTIONS[0] as string } }]);
  const isDead = died.ok && died.value.steps[0]?.rule === 'ftrace.disabled';
  if (!isDead) assert.deepEqual(audit.orphans, []);
}

interface Totals {
  readonly runs: number;
  readonly granted: number;
  readonly reordered: number;
  readonly conflicts: number;
}

async function randomPlans(coordinator: Coordinator, runs: number): Promise<Totals> {
  const places = FUNCTIONS.flatMap((name) => placesOf(coordinator, name) ?? []);
  const totals = { granted: 0, reordered: 0, conflicts: 0 };
  const afresh = async (): Promise<void> => assert.ok((await coordinator.reset(caller(), true)).ok);
  const property = fc
    .asyncProperty(randomPlan, async (random) => {
      const functions = random.functions.map((index) => places[index % places.length] as FunctionPlaces);
      const before = random.there.map((each) => concrete(each, functions));
      const there = await setUp(coordinator, before);
      const steps = planSteps(random.steps, functions, there);
      const answer = planned(coordinator, steps);
      const solved = planned(coordinator, steps, 'order');
      assert.ok(solved.search !== undefined);
      assert.deepEqual(planned(coordinator, steps, 'order'), solved, 'the same question has the same answer');
      if (solved.conflict !== undefined) checkConflict(coordinator, steps, solved);
      await checkSteps(coordinator, steps, answer);
      checkText(coordinator);
      if (answer.wouldSucceed) totals.granted += 1;
      if (solved.order === undefined) {
        assert.ok(!solved.wouldSucceed && !answer.wouldSucceed);
        assert.equal(solved.search.isComplete, solved.conflict !== undefined, solved.search.note);
        totals.conflicts += 1;
        return;
      }
      assert.deepEqual([...solved.order].sort(), [...steps.keys()].sort());
      const isWarned = answer.steps.some(({ warnings }) => warnings.length > 0);
      if (answer.wouldSucceed && !isWarned) assert.deepEqual(solved.order, [...steps.keys()]);
      if (!answer.wouldSucceed) totals.reordered += 1;
      assert.ok(solved.wouldSucceed && solved.steps.every(({ verdict }) => verdict !== 'refused'));
      await afresh();
      const again = await setUp(coordinator, before);
      const renamed = there.map((id, index) => [id, again[index] as string] as const);
      await checkSteps(coordinator, steps, solved, renamed);
    })
    .beforeEach(afresh);
  const done = await checkProperty(FILE, property, runs);
  return { ...totals, runs: done };
}

function checkTotals({ runs, granted, conflicts, reordered }: Totals): void {
  // A replay has one run; the property would hold for plans that are all refused, too.
  if (runs < 100) return;
  const text = JSON.stringify({ runs, granted, conflicts, reordered });
  assert.ok(Math.min(granted, conflicts) > runs / 20 && reordered > runs / 200, text);
}

/** Plans that say the opposite of a lie's verdict now and then, or change a byte of what will be there. */
function liar(coordinator: Coordinator, lie: (step: PlanStepAnswer) => PlanStepAnswer): Coordinator {
  return {
    ...coordinator,
    plan: (...question) => {
      const answer = coordinator.plan(...question);
      return answer.ok ? { ok: true, value: { ...answer.value, steps: answer.value.steps.map(lie) } } : answer;
    },
  };
}

const LIES: Readonly<Record<string, (step: PlanStepAnswer) => PlanStepAnswer>> = {
  'another verdict': (each) => (each.verdict === 'chained' ? { ...each, verdict: 'attached' } : each),
  'another rule': (each) => (each.rule === undefined ? each : { ...each, rule: 'rule.of-nobody' }),
  'other bytes': (each) => ({ ...each, sites: each.sites.map((site) => ({ ...site, after: `${site.after}00` })) }),
  'another order': (each) => ({ ...each, sites: each.sites.map((site) => ({ ...site, chain: ['nobody'] })) }),
};

describe('random plans', () => {
  for (const strictness of ['safe', 'linux'] as const) {
    it(`say what then happens, in the order asked for and in the one found, ${strictness}`, async () =>
      checkTotals(await randomPlans(testCoordinator(await builtinImage(), strictness), 500)));

    for (const kernel of [RECORDED_6_12, RECORDED_6_1]) {
      const { path, skip } = realKernel(kernel);
      it(`say it on ${kernel}, ${strictness}`, { skip }, async () =>
        checkTotals(await randomPlans(testCoordinator(await kernelImage(path), strictness), 100)),
      );
    }
  }

  for (const [name, lie] of Object.entries(LIES))
    it(`are not believed when they say ${name}`, async () => {
      const coordinator = liar(testCoordinator(await builtinImage(), 'linux'), lie);
      await assert.rejects(() => randomPlans(coordinator, 100), /replay|Property failed/i);
    });
});

describe('the order that kills ftrace on 6.1', () => {
  const { path, skip } = realKernel(RECORDED_6_1);
  for (const strictness of ['safe', 'linux'] as const)
    it(`is ${strictness === 'safe' ? 'refused' : 'warned of'}, and a plan finds the one that works, ${strictness}`, {
      skip,
    }, async () => {
      const coordinator = testCoordinator(await kernelImage(path), strictness);
      const steps = (['livepatch', 'fentry', 'fexit'] as const).map((kind) => ({
        attach: { kind, target: 'tcp_set_state' },
      }));
      const asked = planned(coordinator, steps);
      assert.equal(asked.wouldSucceed, strictness === 'linux');
      const last = asked.steps[2];
      if (strictness === 'linux') assert.match(last?.warnings.join() ?? '', /kills ftrace/);
      else
        assert.ok(
          last?.problem?.remedies.some((each) => /^Put this step before /.test(each)),
          JSON.stringify(last),
        );
      const solved = planned(coordinator, steps, 'order');
      assert.ok(solved.wouldSucceed && solved.steps.every(({ warnings }) => warnings.length === 0));
      await checkSteps(coordinator, steps, solved);
    });
});
