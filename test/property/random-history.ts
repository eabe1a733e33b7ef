/** Carries random actions out on a coordinator and checks after each what must always hold. */
import assert from 'node:assert/strict';
import type { ManualClock, Result } from '../../src/base/index.ts';
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
import { type Action, concrete, type FunctionPlaces, stackOf } from './random-requests.ts';

const ATTEMPT_MS = 1_000;

const WHO = caller('random');

/** What a request may not change when it is refused: every site's bytes, owners and revision, and how much of the text differs. */
function everything(coordinator: Coordinator): string {
  const sites = coordinator.sites({ limit: 10_000 });
  const attachments = coordinator.attachments({ limit: 10_000 });
  const { differing, attributed } = coordinator.audit();
  const tasks = coordinator.tasks({ limit: 10_000 });
  return JSON.stringify({ sites, attachments, differing, attributed, tasks });
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
  readonly #clock: ManualClock;
  readonly #livepatches = new Set<string>();
  readonly #tasks: string[] = [];
  granted = 0;
  refused = 0;
  /** Linux's own bug was met: bytes may stay. */
  sawLeak = false;

  constructor(coordinator: Coordinator, clock: ManualClock, functions: readonly FunctionPlaces[]) {
    this.#coordinator = coordinator;
    this.#clock = clock;
    this.#functions = functions;
  }

  async act(action: Action): Promise<void> {
    switch (action.kind) {
      case 'attach':
        await this.#attach(concrete(action.request, this.#functions));
        break;
      case 'task':
      case 'moveTask':
      case 'endTask':
        await this.#task(action);
        break;
      case 'wait':
        await this.#wait();
        break;
      case 'optimize':
        await this.#optimize();
        break;
      case 'optimization':
        await this.#allowOptimization(action.value);
        break;
      default:
        if (this.live.length > 0) await this.#change(action, action.which % this.live.length);
    }
    this.#always();
  }

  async #change(action: Extract<Action, { kind: 'detach' | 'setEnabled' | 'force' }>, index: number): Promise<void> {
    const id = this.live[index] as string;
    if (action.kind === 'detach') await this.detachAt(index);
    else if (action.kind === 'setEnabled') await this.#setEnabled(id, action.enabled);
    else await this.#unlessRefused(() => this.#coordinator.force(WHO, id));
  }

  /** A refusal changes nothing. */
  async #unlessRefused<T>(change: () => Promise<Result<T>>): Promise<Result<T>> {
    const before = everything(this.#coordinator);
    const done = await change();
    if (!done.ok)
      assert.equal(everything(this.#coordinator), before, `${done.fault.rule} refused and changed something`);
    return done;
  }

  async #task(action: Extract<Action, { kind: 'task' | 'moveTask' | 'endTask' }>): Promise<void> {
    const coordinator = this.#coordinator;
    if (action.kind === 'task') {
      const { kind, isReliable, state, stack } = action.task;
      const request = { name: 'random', kind, reliable: isReliable, stack: stackOf(stack, this.#functions) };
      const made = await coordinator.newTask(WHO, { ...request, ...(state === undefined ? {} : { state }) });
      if (made.ok) this.#tasks.push(made.value.id);
      return;
    }
    if (this.#tasks.length === 0) return;
    const index = action.which % this.#tasks.length;
    const id = this.#tasks[index] as string;
    if (action.kind === 'endTask') {
      assert.ok((await coordinator.endTask(WHO, id)).ok);
      this.#tasks.splice(index, 1);
      return;
    }
    const { state, stack } = action.task;
    const change = { stack: stackOf(stack, this.#functions), ...(state === undefined ? {} : { state }) };
    await this.#unlessRefused(() => coordinator.moveTask(WHO, id, change));
  }

  /** Long enough for the worker of a transition to make an attempt. */
  async #wait(): Promise<void> {
    this.#clock.advance(ATTEMPT_MS);
    await new Promise((resolve) => setImmediate(resolve));
    this.#forgetReplaced();
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
    assert.deepEqual(
      planned.warnings,
      value.warnings.map((warning) => warning.replaceAll(value.id, 'plan:0')),
    );
    for (const site of value.sites ?? []) assert.ok(site.chain.includes(value.id), `${value.id} is not in its chain`);
  }

  async detachAt(index: number): Promise<void> {
    const id = this.live[index] as string;
    const planned = this.#planned({ detach: id });
    const done = await this.#unlessRefused(() => this.#coordinator.detach(WHO, id));
    if (!done.ok) {
      // Tasks, and a probe in the trampoline of a static call, at which Linux stops with BUG.
      assert.match(done.fault.rule, /^(livepatch\.(module|transition)\.|static_call\.site\.bug$)/, done.fault.detail);
      assert.deepEqual([planned.verdict, planned.rule], ['refused', done.fault.rule]);
      return;
    }
    this.live.splice(index, 1);
    this.#noteWarnings(done.value.warnings);
    assert.equal(planned.verdict, 'detached');
    assert.equal(JSON.stringify(planned.sites), JSON.stringify(done.value.sites ?? []));
    assert.equal(costOf(planned.cost), costOf(done.value.cost));
    assert.deepEqual(planned.warnings, done.value.warnings);
    assert.equal(this.#coordinator.attachment(id).ok, false);
  }

  async #setEnabled(id: string, enabled: boolean): Promise<void> {
    const done = await this.#unlessRefused(() => this.#coordinator.setEnabled(WHO, id, enabled));
    if (!done.ok) return;
    assert.equal(done.value.enabled, enabled);
    for (const site of done.value.sites ?? []) assert.equal(site.chain.includes(id), enabled);
    this.#forgetReplaced();
  }

  #isForced(id: string): boolean {
    const view = this.#coordinator.attachment(id);
    return view.ok && view.value.livepatch?.forced === true;
  }

  /** Jumps come and go; owners, and who runs, stay. */
  async #optimize(): Promise<void> {
    const chains = () =>
      this.live.map((id) => {
        const found = this.#coordinator.attachment(id);
        return found.ok ? (found.value.sites ?? []).map(({ address, chain }) => ({ address, chain })) : [];
      });
    const before = chains();
    await this.#coordinator.waitForKprobeOptimizer();
    assert.deepEqual(chains(), before);
    const settled = everything(this.#coordinator);
    await this.#coordinator.waitForKprobeOptimizer();
    assert.equal(everything(this.#coordinator), settled, 'the optimizer had not come to its end');
  }

  async #allowOptimization(value: 0 | 1): Promise<void> {
    const set = await this.#coordinator.setSysctl(WHO, 'debug.kprobes-optimization', value);
    assert.ok(set.ok);
    if (value === 1) return;
    const listed = this.#coordinator.kernelView('debug/kprobes/list');
    assert.ok(listed.ok);
    assert.doesNotMatch(listed.value, /OPTIMIZED/);
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
    for (const id of this.#tasks.splice(0)) assert.ok((await this.#coordinator.endTask(WHO, id)).ok);
    await this.#wait();
    const forced = this.live.filter((id) => this.#isForced(id));
    // Others have to go first, at most all of them.
    let inTheWay = 0;
    for (let turn = 0; this.live.length > forced.length; turn++) {
      const free = this.live.filter((id) => !forced.includes(id));
      const id = free[((picks[turn % picks.length] ?? 0) + inTheWay) % free.length] as string;
      await this.detachAt(this.live.indexOf(id));
      inTheWay = this.live.includes(id) ? inTheWay + 1 : 0;
      assert.ok(inTheWay < free.length * (picks.length + 1), 'nobody is in the way any more');
      this.#always();
    }
    if (forced.length > 0) {
      // Their code stays for good.
      this.live.splice(0);
      assert.ok((await this.#coordinator.reset(WHO, true)).ok);
    }
    await this.#coordinator.waitForKprobeOptimizer();
    this.#always();
    const isLinux = this.#coordinator.image().strictness === 'linux';
    if (!(isLinux && this.sawLeak)) assert.equal(this.#coordinator.audit().differing, 0, 'bytes stayed changed');
    const reset = await this.#coordinator.reset(WHO, true);
    assert.ok(reset.ok);
    assert.equal(this.#coordinator.audit().differing, 0, 'bytes stayed changed after a reset');
  }
}
