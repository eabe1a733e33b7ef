/** Carries random actions out on a coordinator and checks after each what must always hold. */
import assert from 'node:assert/strict';
import type {
  AttachRequest,
  Coordinator,
  CostAnswer,
  PlanStep,
  PlanStepAnswer,
  Problem,
  SiteAnswer,
} from '../../src/coordinator/index.ts';
import { caller } from '../support/coordinators.ts';
import { type Action, concrete, type FunctionPlaces } from './random-requests.ts';

const WHO = caller('random');

/** What a request may not change when it is refused: every site's bytes, owners and revision, and how much of the text differs. */
function everything(coordinator: Coordinator): string {
  const sites = coordinator.sites({ limit: 10_000 });
  const attachments = coordinator.attachments({ limit: 10_000 });
  const { differing, attributed } = coordinator.audit();
  return JSON.stringify({ sites, attachments, differing, attributed });
}

/** Sites and what they cost, with the id that a plan gives an attachment in place of the real one. */
function comparable(sites: readonly SiteAnswer[], id: string): string {
  return JSON.stringify(sites).replaceAll(id, 'plan:0');
}

const costOf = ({ pokes, batches, syncRounds }: Pick<CostAnswer, 'pokes' | 'batches' | 'syncRounds'>): string =>
  `${pokes}/${batches}/${syncRounds}`;

/** What a refusal says of the case; its remedies may name what only one of the two has. */
const reason = (problem: Problem | undefined) =>
  problem && [problem.detail, problem.place, problem.index, problem.holders, problem.expected, problem.actual];

export class RandomHistory {
  readonly #coordinator: Coordinator;
  readonly #functions: readonly FunctionPlaces[];
  readonly live: string[] = [];
  readonly #livepatches = new Set<string>();
  granted = 0;
  refused = 0;
  /** Linux's own bug was met: bytes may stay. */
  sawLeak = false;

  constructor(coordinator: Coordinator, functions: readonly FunctionPlaces[]) {
    this.#coordinator = coordinator;
    this.#functions = functions;
  }

  async act(action: Action): Promise<void> {
    if (action.kind === 'attach') await this.#attach(concrete(action.request, this.#functions));
    else if (this.live.length > 0) {
      const index = action.which % this.live.length;
      if (action.kind === 'detach') await this.detachAt(index);
      else await this.#setEnabled(this.live[index] as string, action.enabled);
    }
    this.#always();
  }

  /** plan() on the present state: what it says the step would do. */
  #planned(step: PlanStep): PlanStepAnswer {
    const plan = this.#coordinator.plan(WHO, [step]);
    assert.ok(plan.ok);
    return plan.value.steps[0] as PlanStepAnswer;
  }

  async #attach(request: AttachRequest): Promise<void> {
    const before = everything(this.#coordinator);
    const planned = this.#planned({ attach: request });
    assert.equal(everything(this.#coordinator), before, 'a plan changed something');
    const done = await this.#coordinator.attach(WHO, request, {});
    if (!done.ok) {
      this.refused += 1;
      assert.deepEqual(
        { verdict: 'refused', errno: done.fault.errno, rule: done.fault.rule },
        { verdict: planned.verdict, errno: planned.errno, rule: planned.rule },
      );
      assert.deepEqual(reason(planned.problem), reason(this.#coordinator.problem(done.fault)));
      assert.equal(everything(this.#coordinator), before, `${done.fault.rule} refused and changed something`);
      return;
    }
    const { value } = done;
    this.granted += 1;
    if (request.options?.['replace'] === true) this.#forgetReplaced();
    this.live.push(value.id);
    if (value.kind === 'livepatch') this.#livepatches.add(value.id);
    this.#noteWarnings(value.warnings);
    assert.equal(planned.verdict, value.verdict, `plan: ${planned.rule}`);
    assert.equal(comparable(planned.sites, value.id), comparable(value.sites ?? [], value.id));
    assert.equal(costOf(planned.cost), costOf(value.cost));
    assert.deepEqual(planned.warnings, value.warnings);
    for (const site of value.sites ?? []) assert.ok(site.chain.includes(value.id), `${value.id} is not in its chain`);
  }

  async detachAt(index: number): Promise<void> {
    const id = this.live[index] as string;
    const planned = this.#planned({ detach: id });
    const done = await this.#coordinator.detach(WHO, id);
    assert.ok(done.ok, 'detaching was refused');
    this.live.splice(index, 1);
    this.#noteWarnings(done.value.warnings);
    assert.equal(planned.verdict, 'detached');
    assert.equal(JSON.stringify(planned.sites), JSON.stringify(done.value.sites ?? []));
    assert.equal(costOf(planned.cost), costOf(done.value.cost));
    assert.deepEqual(planned.warnings, done.value.warnings);
    assert.equal(this.#coordinator.attachment(id).ok, false);
  }

  async #setEnabled(id: string, enabled: boolean): Promise<void> {
    const before = everything(this.#coordinator);
    const done = await this.#coordinator.setEnabled(WHO, id, enabled);
    if (done.ok) {
      assert.equal(done.value.enabled, enabled);
      for (const site of done.value.sites ?? []) assert.equal(site.chain.includes(id), enabled);
    } else assert.equal(everything(this.#coordinator), before, `${done.fault.rule} refused and changed something`);
  }

  /** A cumulative livepatch takes the place of all others, and of nobody else. */
  #forgetReplaced(): void {
    for (const id of this.live.splice(0))
      if (this.#coordinator.attachment(id).ok) this.live.push(id);
      else assert.ok(this.#livepatches.has(id), 'only a livepatch is replaced');
  }

  #noteWarnings(warnings: readonly string[]): void {
    if (warnings.some((warning) => /stays patched|will not be restored/.test(warning))) this.sawLeak = true;
  }

  #always(): void {
    const { orphans } = this.#coordinator.audit();
    assert.deepEqual(orphans, [], 'bytes that nobody accounts for');
    const mutex = this.#coordinator.textMutex();
    assert.equal(mutex.holder, null);
    assert.equal(mutex.waiting.length, 0);
    assert.equal(this.#coordinator.poisoned(), undefined);
    const listed = this.#coordinator.attachments({ limit: 10_000 });
    assert.ok(listed.ok);
    assert.deepEqual([...this.live].sort(), listed.value.items.map((each) => each.id).sort());
  }

  /** Everybody leaves in the order that `picks` gives; then the text is as it was. */
  async leaveAll(picks: readonly number[]): Promise<void> {
    for (let turn = 0; this.live.length > 0; turn++) {
      await this.detachAt((picks[turn % picks.length] ?? 0) % this.live.length);
      this.#always();
    }
    const isLinux = this.#coordinator.image().strictness === 'linux';
    if (!(isLinux && this.sawLeak)) assert.equal(this.#coordinator.audit().differing, 0, 'bytes stayed changed');
    const reset = await this.#coordinator.reset(WHO, true);
    assert.ok(reset.ok);
    assert.equal(this.#coordinator.audit().differing, 0, 'bytes stayed changed after a reset');
  }
}
