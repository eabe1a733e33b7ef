import { type Clock, invariant, kernelAddress, type Prng } from '../../base/index.ts';
import type { Region } from '../../cpu/index.ts';
import { PAGE_SIZE } from '../../cpu/index.ts';
import type { TextMutexHeld } from '../../textpoke/index.ts';
import { type Booted, boot } from '../boot.ts';
import type { CallOutcome, MachineCall, MachineState } from '../call-types.ts';
import { HEAP_SIZE, HEAP_START, SLOTS_ROOM, SLOTS_START } from '../layout.ts';
import { Machine } from '../machine.ts';
import type { MachineImage } from '../machine-image.ts';
import { mapModules } from '../modules.ts';
import { Run } from '../run.ts';
import { RuntimeIndex } from '../runtime-index.ts';
import { type Watches, watchCounted } from '../watch.ts';
import { type Reference, references, wrongFiring } from './expected-firing.ts';
import { LiveChange, type LiveMachine, type LiveWriter } from './live-change.ts';
import { runtimeChange } from './runtime-change.ts';
import { deltaReader, type TextChange, textChange } from './text-change.ts';

/** Instructions that a CPU executes in a turn: few while text changes, so that it is met halfway. */
const TURN = 2_000;
const TURN_IN_CHANGE = 24;
/** Calls after which memory is put back: everybody waits for that. */
const CALLS_BETWEEN_RESTORES = 1_000;
const SLOT_AREAS = 4;

/** Owners and the code that watches over them, as one state has them. */
interface Meeting {
  readonly state: MachineState;
  readonly index: RuntimeIndex;
  readonly watches: Watches;
  readonly slots: Region | undefined;
  readonly references: readonly Reference[];
}

const sameModules = (a: MachineState, b: MachineState): boolean =>
  (a.modules ?? []).map(({ name, address }) => `${name} ${address}`).join() ===
  (b.modules ?? []).map(({ name, address }) => `${name} ${address}`).join();

interface InFlight {
  readonly run: Run;
  readonly call: number;
  /** States that text was in while it ran. */
  readonly met: Meeting[];
}

export interface FinishedCall {
  readonly call: number;
  readonly outcome: CallOutcome;
  /** What was not as it has to be. */
  readonly wrong: string | undefined;
}

export interface WorkloadCounts {
  started: number;
  finished: number;
  wrong: number;
  instructions: number;
  /** Calls that ran while text changed. */
  crossed: number;
  /** Traps into a poke under way. */
  pokeTraps: number;
  /** Changes of state under running CPUs, and those for which all had to stop. */
  liveChanges: number;
  stoppedChanges: number;
}

/** What a change has still to do. */
interface Pending {
  readonly to: Meeting;
  /** Undefined: when nobody runs any more. */
  readonly live: LiveWriter | undefined;
  readonly removals: TextChange['removals'];
  readonly isGrowing: boolean;
}

export interface WorkloadOptions {
  readonly image: MachineImage;
  readonly mix: readonly MachineCall[];
  readonly state: MachineState;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly held: TextMutexHeld;
  /** Instead of the writes of the protocol: how tests show that wrong ones are found. */
  readonly writer?: (machine: LiveMachine, change: TextChange) => LiveWriter;
}

/**
 * Calls of a mix of functions, one on each CPU at a time, in turns of some instructions; text changes while they are on their way, by the
 * protocol that changed it in the kernel:
 *   1. A state that has all of the one before is met from the first write on; one that lacks something, by calls that begin behind the last.
 *   2. Generated code that left is taken away when the last call has ended that began before the last write (rcu_tasks).
 *   3. Where neither state has all of the other, or code took the place of other code, no call begins until all have ended, and text changes then.
 * Every call is compared with what it does alone in the states that it met.
 */
export class Workload {
  readonly counts: WorkloadCounts = {
    started: 0,
    finished: 0,
    wrong: 0,
    instructions: 0,
    crossed: 0,
    pokeTraps: 0,
    liveChanges: 0,
    stoppedChanges: 0,
  };
  readonly #options: WorkloadOptions;
  readonly #booted: Booted;
  readonly #alone: Machine;
  readonly #instances = new Map<string, number>();
  readonly #inFlight = new Map<number, InFlight>();
  #now: Meeting;
  #next: MachineState | undefined;
  #pending: Pending | undefined;
  /** Taken away when the calls have ended that may be in it. */
  #leaving: {
    readonly removals: TextChange['removals'];
    readonly calls: Set<InFlight>;
    readonly slots: Region | undefined;
  }[] = [];
  /** Data of modules. */
  #modules: readonly Region[] = [];
  #sinceRestore = 0;
  #slotArea = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#booted = boot(options.image);
    this.#alone = new Machine(options.image, options.clock);
    this.#now = this.#meeting(options.state);
    this.#showNow();
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Of the state that calls meet that begin now. */
  get version(): number {
    return this.#now.state.version;
  }

  /** Whether text is what was shown last, and nobody is left in what it was before. */
  get isSettled(): boolean {
    return this.#next === undefined && this.#pending === undefined && this.#leaving.length === 0;
  }

  /** Text and owners from now on; when states come faster than they can be met, the last one counts. */
  show(state: MachineState): void {
    if (state.version !== (this.#next ?? this.#pending?.to.state ?? this.#now.state).version) this.#next = state;
  }

  #meeting(state: MachineState): Meeting {
    const { image, mix } = this.#options;
    const { text, space } = this.#booted;
    const index = new RuntimeIndex(state.runtime, image);
    const slotsStart = SLOTS_START + BigInt(this.#slotArea) * SLOTS_ROOM;
    this.#slotArea = (this.#slotArea + 1) % SLOT_AREAS;
    const watches = watchCounted(index, deltaReader(text, state.delta), slotsStart);
    const length = Math.ceil(watches.slots.length / PAGE_SIZE) * PAGE_SIZE;
    const slots =
      length === 0
        ? undefined
        : space.map({
            name: 'displaced instructions',
            start: slotsStart,
            length,
            permissions: 'r-x',
            initial: watches.slots,
          });
    return { state, index, watches, slots, references: references(this.#alone, state, mix) };
  }

  /** Nobody runs: text is shown as a whole. */
  #showNow(): void {
    const { text, space, overlays, bpf } = this.#booted;
    for (const region of this.#modules) space.unmap(region);
    this.#modules = mapModules(space, this.#now.state.modules ?? []);
    text.show(this.#now.state.delta, [...overlays, ...this.#now.watches.overlays]);
    bpf.show(this.#now.state.runtime.maps);
    this.#restore();
  }

  /** A turn: the change, if there is one, does a write, and every CPU some instructions. At most `begin` calls begin in it. */
  turn(begin = Number.POSITIVE_INFINITY): readonly FinishedCall[] {
    this.#change();
    const { prng } = this.#options;
    const isChanging = this.#pending?.live !== undefined;
    let left = this.#mustWait() ? 0 : begin;
    const finished: FinishedCall[] = [];
    for (const cpu of this.#booted.cpus.keys()) {
      if (!this.#inFlight.has(cpu) && left > 0) {
        this.#begin(cpu);
        left -= 1;
      }
      const done = this.#advance(cpu, isChanging ? 1 + prng.below(TURN_IN_CHANGE) : TURN);
      if (done !== undefined) finished.push(done);
    }
    if (this.#inFlight.size === 0 && this.#sinceRestore >= CALLS_BETWEEN_RESTORES) this.#restore();
    return finished;
  }

  #mustWait(): boolean {
    const isStopping = this.#pending !== undefined && this.#pending.live === undefined;
    return isStopping || this.#sinceRestore >= CALLS_BETWEEN_RESTORES;
  }

  #restore(): void {
    const { space, bpf, tracepoints } = this.#booted;
    space.restore();
    bpf.putPrograms(this.#now.state.runtime.tailCallees);
    tracepoints.put(this.#now.state.runtime.tracepoints);
    this.#sinceRestore = 0;
  }

  #begin(cpu: number): void {
    const { image, mix, prng } = this.#options;
    const number = prng.below(mix.length);
    const call = mix[number];
    const processor = this.#booted.cpus[cpu];
    invariant(call !== undefined && processor !== undefined, 'a mix of one call at least');
    const meeting = this.#pending?.isGrowing === true ? this.#pending.to : this.#now;
    const { text, intercepts, bpf } = this.#booted;
    const context = {
      image,
      text,
      cpu: processor,
      index: meeting.index,
      watches: meeting.watches,
      intercepts,
      instances: this.#instances,
      bpf: bpf.world(this.#options.clock),
      heapStart: this.#heap(cpu).start,
      pokeVector: () => this.#pending?.live?.vector ?? { refs: 0, entries: [] },
    };
    const met = [this.#now];
    if (this.#pending !== undefined) met.push(this.#pending.to);
    this.#inFlight.set(cpu, { run: new Run(context, { ...call, cpu }), call: number, met });
    this.counts.started += 1;
    this.#sinceRestore += 1;
  }

  #heap(cpu: number): { readonly start: bigint; readonly room: bigint } {
    const room = BigInt(Math.floor(HEAP_SIZE / this.#booted.cpus.length / PAGE_SIZE) * PAGE_SIZE);
    return { start: HEAP_START + BigInt(cpu) * room, room };
  }

  #advance(cpu: number, instructions: number): FinishedCall | undefined {
    const flight = this.#inFlight.get(cpu);
    if (flight === undefined) return undefined;
    const { run, call, met } = flight;
    const budget = this.#options.mix[call]?.maxInstructions ?? 0;
    run.advance(instructions);
    if (run.end === undefined && run.executed >= budget) run.stop();
    if (run.end === undefined) return undefined;
    if (run.end.kind !== 'returned') run.stop();
    this.#inFlight.delete(cpu);
    for (const { calls } of this.#leaving) calls.delete(flight);
    const outcome = run.outcome();
    const states = met.map((each) => each.references[call]).filter((each) => each !== undefined);
    const wrong = wrongFiring(outcome, states, this.#heap(cpu));
    this.counts.finished += 1;
    this.counts.instructions += outcome.instructions;
    this.counts.pokeTraps += run.pokeTraps;
    if (met.length > 1) this.counts.crossed += 1;
    if (wrong !== undefined) this.counts.wrong += 1;
    return { call, outcome, wrong };
  }

  #change(): void {
    this.#takeAway();
    if (this.#pending === undefined) this.#beginChange();
    const pending = this.#pending;
    if (pending === undefined) return;
    if (pending.live === undefined) {
      if (this.#inFlight.size === 0) this.#changeWhole(pending);
      return;
    }
    pending.live.step();
    if (pending.live.isOver) this.#endChange(pending);
  }

  #beginChange(): void {
    const state = this.#next;
    // Code that is still left by somebody may not be overwritten, and there are only so many areas of slots.
    if (state === undefined || this.#leaving.length > 0) return;
    this.#next = undefined;
    const from = this.#now;
    const to = this.#meeting(state);
    const { text, cpus } = this.#booted;
    const kind = sameModules(from.state, state) ? runtimeChange(from.state.runtime, state.runtime) : 'mixed';
    const sites = new Set([from, to].flatMap(({ state: each }) => each.runtime.ops.flatMap((ops) => [...ops.sites])));
    const change = kind === 'mixed' ? undefined : textChange(text, from.state.delta, state.delta, sites);
    if (change === undefined) {
      this.#pending = { to, live: undefined, removals: [], isGrowing: false };
      return;
    }
    const watched = to.watches.overlays.filter(({ at }) => !from.watches.overlays.some((each) => each.at === at));
    const installs = [...change.installs, ...watched];
    const { clock, held, image, writer } = this.#options;
    const machine = { base: kernelAddress(image.base), text, cpus, clock, held };
    const writing = { ...change, installs };
    const live = writer?.(machine, writing) ?? new LiveChange(machine, writing);
    const isGrowing = kind === 'grow';
    this.#pending = { to, live, removals: change.removals, isGrowing };
    for (const { run, met } of this.#inFlight.values()) {
      met.push(to);
      if (isGrowing) run.meet(to.index, to.watches);
    }
  }

  #endChange({ to, removals }: Pending): void {
    const { slots } = this.#now;
    this.#leaving.push({ removals, calls: new Set(this.#inFlight.values()), slots });
    this.#now = to;
    this.#pending = undefined;
    this.counts.liveChanges += 1;
  }

  #changeWhole({ to }: Pending): void {
    const { slots } = this.#now;
    if (slots !== undefined) this.#booted.space.unmap(slots);
    this.#now = to;
    this.#pending = undefined;
    this.#showNow();
    this.counts.stoppedChanges += 1;
  }

  /** Generated code and slots in which nobody is any more. */
  #takeAway(): void {
    const { text, space } = this.#booted;
    for (const { removals, calls, slots } of this.#leaving) {
      if (calls.size > 0) continue;
      for (const { at, bytes } of removals) text.write(at, bytes);
      if (slots !== undefined) space.unmap(slots);
    }
    this.#leaving = this.#leaving.filter(({ calls }) => calls.size > 0);
  }
}
