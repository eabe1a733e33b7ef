import { invariant, toHex } from '../../base/index.ts';
import type { TextMutexHeld } from '../../textpoke/index.ts';
import { assemble, resolvePlace } from '../scenario/assemble.ts';
import { PATCHERS_MAX } from '../scenario/check-contents.ts';
import { type Layout, layOut } from '../scenario/layout.ts';
import { actorsOf, type GracePeriod, type Property, type Scenario } from '../scenario/scenario.ts';
import { ACTORS_MAX, actorOf, type Space, type Step, type Violation } from '../search/space.ts';
import { type CpuOutcome, type CpuWorld, cpuOutcomes } from './cpu.ts';
import { type CpuState, emptyFrame, isOff } from './cpu-state.ts';
import { Executor } from './executor.ts';
import { beginWait, isAwaited } from './grace.ts';
import { Intended } from './intended.ts';
import { hash53, Interner } from './intern.ts';
import { type Mutation, mutate, UNCHANGED } from './mutation.ts';
import { type Broadcast, describePhase, Patcher, type PatcherOutcome } from './patcher.ts';
import type { Shared } from './shared.ts';
import { TextMemory } from './text-memory.ts';

export interface WorldOptions {
  /** Of the mutex of the world's own text, as long as the world is used. */
  readonly held: TextMutexHeld;
  readonly scenario: Scenario;
  readonly mutation?: Mutation;
  /** Every boundary between instructions is a step of its own. */
  readonly isUnreduced?: boolean;
  /** CPUs that do the same stay apart. */
  readonly isAsymmetric?: boolean;
}

/** A step of a patcher with numbers for what it leaves, and what it makes of each CPU that was asked about. */
interface PatcherMove {
  readonly outcome: PatcherOutcome;
  readonly shared: number;
  readonly violation: number;
  /** Goes on only when CPUs have done what it waits for. */
  readonly waitsForCpus: boolean;
  readonly cpus: (number | undefined)[];
}

/** All that one CPU can do in one shared state; the lists go together. */
interface CpuMoves {
  readonly outcomes: readonly CpuOutcome[];
  readonly steps: readonly Step[];
  readonly cpus: readonly number[];
  readonly shareds: readonly number[];
  readonly violations: readonly number[];
}

/**
 * A scenario as a space: one word for all that is shared, one for each patcher, one for each CPU. Each word numbers a value; what an actor can do
 * depends on its own word and the shared one, so it is worked out once and looked up afterwards. A search is then a walk over small integers, and
 * the real generators and handlers run only where nobody has been before.
 */
export class World implements Space {
  readonly width: number;
  readonly actors: readonly string[];
  readonly layout: Layout;
  readonly memory: TextMemory;
  readonly #scenario: Scenario;
  readonly #cpuWorld: CpuWorld;
  readonly #patchers: readonly Patcher[];
  readonly #shareds = new Interner<Shared>();
  readonly #cpus = new Interner<CpuState>();
  readonly #violations = new Interner<Violation>();
  readonly #hold: ReadonlySet<Property> | undefined;
  readonly #isSymmetric: boolean;
  /** By patcher, node, shared: undefined where nobody has been, null where it cannot go on. */
  readonly #patcherMoves: (PatcherMove | null)[][][];
  /** By CPU, shared. */
  readonly #cpuMoves: CpuMoves[][] = [];
  readonly #isPending: boolean[] = [];
  /** By CPU: where it comes when equal actors are put in order; the same in every world of the scenario, which numbers are not. */
  readonly #ranks: number[] = [];
  /** By text: what is wrong with it in the end. */
  readonly #quiet: number[] = [];
  readonly #firstCpu: number;
  readonly #initial: Int32Array;

  constructor(options: WorldOptions) {
    const { held, mutation = UNCHANGED } = options;
    const scenario = mutate(options.scenario, mutation);
    const { patchers, cpus } = scenario;
    invariant(patchers.length <= PATCHERS_MAX && patchers.length + cpus.length <= ACTORS_MAX, 'too many actors');
    this.#scenario = scenario;
    this.layout = layOut(scenario);
    this.memory = new TextMemory(this.layout, held, scenario.fetch);
    const { layout, memory } = this;
    const intended = new Intended(layout, scenario);
    const executor = new Executor();
    this.#cpuWorld = {
      scenario,
      layout,
      memory,
      intended,
      executor,
      mutation,
      isReduced: options.isUnreduced !== true,
    };
    const context = { layout, text: memory.text, held, mutation };
    this.#patchers = patchers.map((spec, index) => new Patcher({ index, spec, memory, context }));
    this.#patcherMoves = patchers.map(() => []);
    this.#hold = scenario.hold === undefined ? undefined : new Set(scenario.hold);
    this.#isSymmetric = options.isAsymmetric !== true && cpus.length > 1;
    this.actors = actorsOf(scenario);
    this.width = 1 + this.actors.length;
    this.#firstCpu = 1 + patchers.length;
    // Number 0 means that nothing is wrong.
    this.#violations.id({ property: '', detail: '' });
    this.#initial = this.#begin();
  }

  initial(into: Int32Array): void {
    into.set(this.#initial);
  }

  steps(state: Int32Array, out: Step[]): void {
    const shared = state[0] ?? 0;
    const patchers = this.#patchers.length;
    let count = 0;
    for (let p = 0; p < patchers; p++) {
      const move = this.#patcherMove(p, state);
      if (move !== null && (!move.waitsForCpus || this.#cpusLet(p, state))) out[count++] = p;
    }
    for (let actor = patchers; actor < this.width - 1; actor++) {
      const { steps } = this.#movesOf(state[1 + actor] ?? 0, shared);
      for (let i = 0; i < steps.length; i++) out[count++] = (steps[i] ?? 0) | actor;
    }
    out.length = count;
  }

  apply(state: Int32Array, step: Step, into: Int32Array): number {
    const actor = actorOf(step);
    for (let i = 0; i < this.width; i++) into[i] = state[i] ?? 0;
    if (actor < this.#patchers.length) return this.#applyPatcher(actor, state, into);
    const moves = this.#movesOf(state[1 + actor] ?? 0, state[0] ?? 0);
    const index = moves.steps.indexOf(step - actor);
    if (index < 0) invariant(false, `no step ${step} of ${this.actors[actor]}`);
    into[0] = moves.shareds[index] ?? 0;
    into[1 + actor] = moves.cpus[index] ?? 0;
    return moves.violations[index] ?? 0;
  }

  end(state: Int32Array): number {
    const stuck = this.#patchers.flatMap((patcher, p) => {
      const phase = patcher.phaseOf(state[1 + p] ?? 0);
      if (phase === undefined || phase.kind === 'end') return [];
      const locks = Object.entries(this.sharedOf(state).locks).filter(([, holders]) => (holders >> p) & 1);
      const has = locks.map(([name]) => name).join(' ');
      return [`${this.actors[p]} ${has === '' ? '' : `has ${has} and `}${describePhase(phase)}`];
    });
    if (stuck.length === 0) return this.#quiescent(state);
    return this.#violate({ property: 'no-deadlock', detail: `nobody can go on: ${stuck.join(', ')}` });
  }

  violation(number: number): Violation {
    return this.#violations.get(number);
  }

  describe(state: Int32Array, step: Step): string {
    const actor = actorOf(step);
    if (actor < this.#patchers.length)
      return `${this.actors[actor]} ${this.#patcherMove(actor, state)?.outcome.what ?? ''}`;
    const { outcomes } = this.#movesOf(state[1 + actor] ?? 0, state[0] ?? 0);
    return `${this.actors[actor]} ${outcomes.find((each) => each.step === step - actor)?.what ?? ''}`;
  }

  render(state: Int32Array): string {
    const shared = this.#shareds.get(state[0] ?? 0);
    const { memory } = this;
    const vector = memory.vectorOf(shared.memory);
    const text = this.layout.texts.map(({ at, length }) =>
      toHex(memory.visible.bytes(memory.textOf(shared.memory), at, length)),
    );
    const patchers = this.#patchers.map((patcher, p) => patcher.phaseOf(state[1 + p] ?? 0));
    const cpus = this.cpusOf(state).map((cpu) => this.#textOf(cpu));
    return JSON.stringify([
      { ...shared, memory: [text, vector.refs, vector.refs === 0 ? [] : vector.entries] },
      patchers,
      cpus,
    ]);
  }

  normalise(state: Int32Array): void {
    if (!this.#isSymmetric) return;
    // A CPU says of itself which description it has, so it does not matter that those of another come in between.
    const from = this.#firstCpu;
    for (let i = from + 1; i < this.width; i++) {
      const word = state[i] ?? 0;
      let j = i - 1;
      for (; j >= from && this.#isBehind(state[j] ?? 0, word); j--) state[j + 1] = state[j] ?? 0;
      state[j + 1] = word;
    }
  }

  sharedOf(state: Int32Array): Shared {
    return this.#shareds.get(state[0] ?? 0);
  }

  cpusOf(state: Int32Array): readonly CpuState[] {
    return this.#scenario.cpus.map((_, c) => this.#cpus.get(state[1 + this.#patchers.length + c] ?? 0));
  }

  /** How many different values the words of states have had: what the real code was run for. */
  get sizes(): { readonly shared: number; readonly cpus: number } {
    return { shared: this.#shareds.size, cpus: this.#cpus.size };
  }

  #begin(): Int32Array {
    const { scenario } = this.#cpuWorld;
    const state = new Int32Array(this.width);
    const attached = (scenario.attached ?? []).reduce(
      (mask, name) => mask | (1 << this.layout.owners.indexOf(name)),
      0,
    );
    const absent = scenario.text.flatMap(({ name, absent: isAbsent }) => (isAbsent === true ? [name] : [])).sort();
    const variables = Object.fromEntries(Object.entries(scenario.variables ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
    const shared = {
      memory: TextMemory.START,
      attached,
      kprobes: {},
      detours: {},
      variables,
      absent,
      locks: {},
      over: {},
    };
    state[0] = this.#shareds.id(shared);
    for (const [c, spec] of scenario.cpus.entries()) {
      const same = scenario.cpus.findIndex((other) => JSON.stringify(other) === JSON.stringify(spec));
      const runs = spec.times === 'forever' ? -1 : spec.times;
      const local = {
        spec: same,
        frames: [emptyFrame('task')],
        runs,
        irqs: spec.irq?.times ?? 0,
        nmis: spec.nmi?.times ?? 0,
      };
      state[1 + this.#patchers.length + c] = this.#cpuId({ local, view: 0, isPending: false, awaited: 0 });
    }
    return state;
  }

  #cpuId(cpu: CpuState): number {
    const id = this.#cpus.id(cpu);
    if (this.#isPending[id] === undefined) {
      this.#isPending[id] = cpu.isPending;
      this.#ranks[id] = this.#isSymmetric ? hash53(this.#textOf(cpu)) : 0;
    }
    return id;
  }

  #isBehind(a: number, b: number): boolean {
    const [rankA = 0, rankB = 0] = [this.#ranks[a], this.#ranks[b]];
    if (rankA !== rankB || a === b) return rankA > rankB;
    return this.#textOf(this.#cpus.get(a)) > this.#textOf(this.#cpus.get(b));
  }

  /** All that a CPU is, without a number that only this world knows. */
  #textOf(cpu: CpuState): string {
    return JSON.stringify({ ...cpu, view: this.#renderView(cpu.view) });
  }

  /** False while a sync or a grace period that the patcher waits for is not over. */
  #cpusLet(p: number, state: Int32Array): boolean {
    const phase = this.#patchers[p]?.phaseOf(state[1 + p] ?? 0);
    if (phase?.kind !== 'sync' && phase?.kind !== 'wait') return true;
    for (let i = this.#firstCpu; i < this.width; i++) {
      const cpu = state[i] ?? 0;
      if (phase.kind === 'sync' ? this.#isPending[cpu] : isAwaited(this.#cpus.get(cpu), p, phase.for)) return false;
    }
    return true;
  }

  #patcherMove(p: number, state: Int32Array): PatcherMove | null {
    const node = state[1 + p] ?? 0;
    const shared = state[0] ?? 0;
    const known = this.#patcherMoves[p]?.[node]?.[shared];
    if (known !== undefined) return known;
    const rows = this.#patcherMoves[p] ?? [];
    const row = rows[node] ?? [];
    rows[node] = row;
    const move = this.#findPatcherMove(p, node, shared);
    row[shared] = move;
    return move;
  }

  #findPatcherMove(p: number, node: number, shared: number): PatcherMove | null {
    const patcher = this.#patchers[p];
    const before = this.#shareds.get(shared);
    if (patcher === undefined || !patcher.mayGoOn(node, before)) return null;
    const outcome = patcher.step(node, before);
    const violation = outcome.violation === undefined ? 0 : this.#violate(outcome.violation);
    const kind = patcher.phaseOf(node)?.kind;
    const waitsForCpus = kind === 'sync' || kind === 'wait';
    return { outcome, violation, waitsForCpus, shared: this.#shareds.id(outcome.shared), cpus: [] };
  }

  #applyPatcher(p: number, state: Int32Array, into: Int32Array): number {
    const move = this.#patcherMove(p, state);
    invariant(move !== null, () => `${this.actors[p]} cannot go on`);
    into[0] = move.shared;
    into[1 + p] = move.outcome.node;
    const { broadcast } = move.outcome;
    if (broadcast !== undefined) {
      for (let i = this.#firstCpu; i < this.width; i++) {
        const cpu = state[i] ?? 0;
        move.cpus[cpu] ??= this.#hear(cpu, p, broadcast);
        into[i] = move.cpus[cpu] ?? 0;
      }
    }
    if (move.violation !== 0) return move.violation;
    const isOver = this.#patchers.every((patcher, each) => patcher.isEnd(into[1 + each] ?? 0));
    return isOver ? this.#quiescent(into) : 0;
  }

  /** What a step of a patcher is to a CPU. */
  #hear(id: number, patcher: number, { stores, isIpi, waitFor, detaching }: Broadcast): number {
    let cpu = this.#cpus.get(id);
    if (isOff(cpu.local)) return id;
    let { view, local } = cpu;
    for (const store of stores) view = this.memory.visible.store(view, store);
    if (detaching !== undefined) {
      const rest = ~(1 << this.layout.owners.indexOf(detaching));
      local = { ...local, frames: local.frames.map((frame) => ({ ...frame, must: frame.must & rest })) };
    }
    cpu = { ...cpu, view, local, isPending: cpu.isPending || isIpi };
    return this.#cpuId(waitFor === undefined ? cpu : beginWait(cpu, patcher, waitFor as GracePeriod));
  }

  #movesOf(cpu: number, shared: number): CpuMoves {
    const known = this.#cpuMoves[cpu]?.[shared];
    if (known !== undefined) return known;
    const outcomes = cpuOutcomes(this.#cpuWorld, this.#cpus.get(cpu), this.#shareds.get(shared));
    const moves = {
      outcomes,
      steps: outcomes.map(({ step }) => step),
      cpus: outcomes.map((outcome) => this.#cpuId(outcome.cpu)),
      shareds: outcomes.map((outcome) => this.#shareds.id(outcome.shared)),
      violations: outcomes.map(({ violation }) => (violation === undefined ? 0 : this.#violate(violation))),
    };
    const row = this.#cpuMoves[cpu] ?? [];
    this.#cpuMoves[cpu] = row;
    row[shared] = moves;
    return moves;
  }

  /** Bytes match owners once all patchers are done. */
  #quiescent(state: Int32Array): number {
    const text = this.memory.textOf(this.sharedOf(state).memory);
    let violation = this.#quiet[text];
    if (violation === undefined) {
      violation = this.#compareFinal(text);
      this.#quiet[text] = violation;
    }
    return violation;
  }

  #compareFinal(text: number): number {
    for (const [name, code] of Object.entries(this.#scenario.final ?? {})) {
      const at = resolvePlace(this.layout.places, name);
      const wanted = toHex(assemble(code, at, this.layout.places));
      const found = toHex(this.memory.visible.bytes(text, at, wanted.length / 2));
      if (wanted !== found)
        return this.#violate({ property: 'quiescent-bytes', detail: `${name} has ${found}, its owners say ${wanted}` });
    }
    return 0;
  }

  #violate(violation: Violation): number {
    if (this.#hold !== undefined && !this.#hold.has(violation.property as Property)) return 0;
    return this.#violations.id(violation);
  }

  #renderView(view: number): unknown {
    return this.layout.changing.map(([start, end]) =>
      Array.from({ length: end - start }, (_, i) => this.memory.visible.possible(view, start + i)),
    );
  }
}
