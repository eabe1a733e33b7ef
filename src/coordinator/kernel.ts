import {
  type Clock,
  err,
  type Fault,
  InvariantViolation,
  idMaker,
  inSlices,
  invariant,
  ok,
  type Prng,
  type Result,
} from '../base/index.ts';
import type { KernelImage } from '../image/index.ts';
import {
  BUILT_KERNELS,
  type Change,
  type Decision,
  initialState,
  type KernelState,
  makeWorld,
  readOnly,
  type Strictness,
  type Txn,
  type World,
  withRulesOf,
  worldOf,
} from '../registry/index.ts';
import {
  KernelText,
  type PokeMachine,
  type PokeSummary,
  PokeTrail,
  TextMutex,
  type TextMutexHeld,
} from '../textpoke/index.ts';
import { carryOut, PokeGivenUp } from './carry-out.ts';
import type { Command, CommandProgress, CommandTime, KernelJournal, RanCommand } from './command.ts';
import { CommandClock } from './command-clock.ts';
import { EventLog } from './event-log.ts';
import { CommandTrial, type FaultBook, mayHitCommands } from './faults/index.ts';
import { HitCounters } from './hit-counters.ts';
import { beginCommand, progressTeller } from './running-command.ts';
import type { Caller, ServiceEvent, TextMutexListener } from './service.ts';
import { type Leases, NO_LEASES } from './sessions.ts';
import { TracePipe } from './trace-pipe.ts';

/** No simulated CPU runs yet, so a sync round has nobody to wait for; it is counted all the same. */
const NO_CPUS: PokeMachine = { syncCores: () => undefined };

const TEXT_MUTEX_QUEUE_MAX = 1_000;

export interface KernelOptions {
  readonly image: KernelImage;
  readonly strictness: Strictness;
  /** Also what the 2019 thread proposed and Linux did not take. */
  readonly variants?: boolean;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly quotas?: Quotas;
  /** Faults that are injected by name; undefined: none ever. */
  readonly faults?: FaultBook;
}

/** What one client may hold; undefined: as much as it likes. */
export interface Quotas {
  readonly attachments?: number;
  readonly sites?: number;
}

/** What one carried-out decision cost. */
export interface Cost extends PokeSummary {
  readonly textMutexHeldUs: number;
}

/** What came of a turn at text_mutex; the ticket: when it is on disk. */
interface Turn<Answer> {
  readonly answer: Result<Answer>;
  readonly ticket: Promise<Result<number>> | undefined;
}

const secret = (prng: Prng): string =>
  Array.from({ length: 4 }, () => prng.u32().toString(16).padStart(8, '0')).join('');

/** The simulated kernel while it runs: its text, its owners' state, and the one lock under which both change. */
export class Kernel {
  readonly text: KernelText;
  readonly mutex: TextMutex;
  readonly mutexListeners = new Set<TextMutexListener>();
  /** Told how far a command is that takes long. */
  readonly progressListeners = new Set<(progress: CommandProgress) => void>();
  readonly events: EventLog;
  readonly counters = new HitCounters();
  readonly traces = new TracePipe();
  readonly clock: CommandClock;
  /** For what no command makes. */
  readonly newId: (prefix: string) => string;
  /** 128 random bits, hex: what only its owner may know. */
  readonly newSecret: () => string;
  state: KernelState;
  leases: Leases = NO_LEASES;
  readonly quotas: Quotas;
  readonly faults: FaultBook | undefined;
  #journal: KernelJournal | undefined;
  #violation: string | undefined;
  readonly #core: World;
  readonly #worlds = new Map<string, World>();
  #view: { readonly state: KernelState; readonly txn: Txn } | undefined;
  readonly #doneListeners = new Set<() => void>();
  /** Of the command that is being run, when a fault could hit it. */
  #trial: CommandTrial | undefined;

  constructor(options: KernelOptions) {
    const { image } = options;
    this.quotas = options.quotas ?? {};
    this.faults = options.faults;
    const clock = new CommandClock(options.clock);
    this.clock = clock;
    this.#core = makeWorld(image, { strictness: options.strictness, variants: options.variants === true });
    this.text = new KernelText({
      base: image.base,
      ranges: image.pristine.ranges.map((range) => ({
        name: range.name,
        start: range.start,
        bytes: image.pristine.bytes(range.start, range.length),
      })),
      clock,
    });
    this.mutex = new TextMutex({
      clock,
      queueMax: TEXT_MUTEX_QUEUE_MAX,
      // A command does not ask for another turn behind an await.
      followsAwaits: false,
      observer: {
        onAcquired: (waitMs) => {
          for (const listener of this.mutexListeners) listener.onAcquired(waitMs);
        },
        onReleased: (holdMs) => {
          for (const listener of this.mutexListeners) listener.onReleased(holdMs);
        },
      },
    });
    this.events = new EventLog(clock, (event) => this.#loose(event));
    this.newId = idMaker(clock, options.prng);
    this.newSecret = () => secret(options.prng);
    this.state = initialState(this.#core);
  }

  /** The kernel with the modules that are loaded now. */
  get world(): World {
    return worldOf(this.#core, this.state.modules);
  }

  /** The first invariant violation. From then on nothing is written; reads go on. */
  get violation(): string | undefined {
    return this.#violation;
  }

  /** This kernel as another version would decide about it; undefined when that version's rules are not built. */
  asVersion(version: string): PlanKernel | undefined {
    if (version === this.world.kernel) return this;
    const built = BUILT_KERNELS.find((each) => each === version);
    if (built === undefined) return undefined;
    const core = this.#worlds.get(built) ?? withRulesOf(this.#core, built);
    this.#worlds.set(built, core);
    return {
      world: worldOf(core, this.state.modules),
      state: this.state,
      text: this.text,
      events: this.events,
      clock: this.clock,
    };
  }

  /** The present state for functions that read. */
  view(): Txn {
    if (this.#view?.state !== this.state)
      this.#view = { state: this.state, txn: readOnly(this.world, this.state, this.text) };
    return this.#view.txn;
  }

  /** Runs a command under text_mutex. An invariant violation in it poisons the kernel and is thrown on. */
  async execute<Input, Answer>(command: Command<Input, Answer>, caller: Caller, input: Input): Promise<Result<Answer>> {
    const { client, signal, deadlineMs } = caller;
    const who = {
      client,
      what: command.describe(input),
      ...(signal === undefined ? {} : { signal }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    };
    const turn = await this.mutex.run(who, (held) => this.#takeTurn(held, command, caller, input));
    for (const listener of this.#doneListeners) listener();
    if (!turn.ok) return err(turn.fault);
    const { answer, ticket } = turn.value;
    if (!answer.ok) return answer;
    // Acknowledged means durable: the answer waits for the disk, text_mutex does not.
    const written = await ticket;
    return written === undefined || written.ok ? answer : err(written.fault);
  }

  #takeTurn<Input, Answer>(
    held: TextMutexHeld,
    command: Command<Input, Answer>,
    caller: Caller,
    input: Input,
  ): Turn<Answer> | Promise<Turn<Answer>> {
    return this.#guarded(() => {
      const refused = this.#journal?.failing ?? command.admit?.(this, caller, input);
      if (refused !== undefined) return { answer: err(refused), ticket: undefined };
      const late = caller.idempotency === undefined ? undefined : this.#journal?.lateAnswer(caller.idempotency);
      if (late !== undefined) return { answer: ok(late.value as Answer), ticket: undefined };
      const time = { ms: this.clock.now(), newId: this.newId };
      const ended = (ran: RanCommand<Answer>): Turn<Answer> => ({
        answer: ran.answer,
        ticket: this.#write(ran, caller),
      });
      if (this.faults === undefined || !mayHitCommands(this.faults)) {
        const ran = this.#runInSlices(held, command, caller, input, time);
        return ran instanceof Promise ? ran.then(ended) : ended(ran);
      }
      const run = (): RanCommand<Answer> => this.runHeld(held, command, caller, input, time);
      const trial = new CommandTrial(this.faults, new PokeTrail(this.text), {
        kind: command.kind,
        client: caller.client,
        what: held.what,
        placeOf: (at) => this.view().place(at),
      });
      const ran = this.#attempt(held, trial, command.kind, run);
      const turn = ended(ran);
      // Sync rounds that are late: text_mutex is held until the last of them is over.
      return trial.delayMs === 0 ? turn : trial.late().then(() => turn);
    });
  }

  /**
   * Runs a command that an injected fault may stop in the midst. When one does: the text is put back by pokes, newest first; owners, leases and
   * events are those from before, as is all that follows from them; and one event says what was refused and why.
   */
  #attempt<Answer>(
    held: TextMutexHeld,
    trial: CommandTrial,
    kind: string,
    run: () => RanCommand<Answer>,
  ): RanCommand<Answer> {
    const [state, leases] = [this.state, this.leases];
    this.#trial = trial;
    try {
      return run();
    } catch (error) {
      if (!(error instanceof PokeGivenUp)) throw error;
      trial.trail.undo(held, NO_CPUS);
      this.state = state;
      this.leases = leases;
      const { fault } = error;
      const { errno, rule, detail } = fault;
      const told = { client: held.client, command: kind, errno, rule, detail };
      const { events } = this.events.collect(() => this.events.append('rejected', told));
      const timeMs = this.clock.now();
      const nothing = { input: undefined, ids: [], isAnswerPrivate: false, hasChanged: false };
      return { ...nothing, kind, timeMs, events, answer: err(fault) };
    } finally {
      this.#trial = undefined;
      trial.trail.end();
    }
  }

  /** Runs a command whose turn it is, and says all that running it again needs. Recovery comes here directly. */
  runHeld<Input, Answer>(
    held: TextMutexHeld,
    command: Command<Input, Answer>,
    caller: Caller,
    input: Input,
    time: CommandTime,
  ): RanCommand<Answer> {
    const running = beginCommand(this, held, command, caller, input, time);
    return running.end(running.within(() => command.run(running.turn, input)));
  }

  /** The same, with turns of the event loop in between when the command can rest and takes long. */
  #runInSlices<Input, Answer>(
    held: TextMutexHeld,
    command: Command<Input, Answer>,
    caller: Caller,
    input: Input,
    time: CommandTime,
  ): RanCommand<Answer> | Promise<RanCommand<Answer>> {
    if (command.steps === undefined) return this.runHeld(held, command, caller, input, time);
    const { turn, within, end } = beginCommand(this, held, command, caller, input, time);
    const tell = progressTeller(this, caller, held.what);
    const answer = inSlices(command.steps(turn, input), { clock: this.clock, within, onRest: tell });
    return answer instanceof Promise ? answer.then(end) : end(answer);
  }

  /** What changes the kernel outlives it. */
  get hasJournal(): boolean {
    return this.#journal !== undefined;
  }

  /** From now on what changes the kernel is written here before it is acknowledged, and shown when it is on disk. */
  useJournal(journal: KernelJournal): void {
    invariant(this.#journal === undefined, 'a kernel has one journal');
    this.#journal = journal;
  }

  #write(ran: RanCommand<unknown>, caller: Caller): Promise<Result<number>> | undefined {
    const last = this.events.next - 1;
    if (this.#journal !== undefined) return this.#journal.write(ran, caller, last);
    this.events.publish(last);
    return undefined;
  }

  /** Calls back after each command, whatever came of it; returns the unsubscriber. */
  onCommandDone(listener: () => void): () => void {
    this.#doneListeners.add(listener);
    return () => this.#doneListeners.delete(listener);
  }

  #guarded<T>(body: () => T | Promise<T>): T | Promise<T> {
    if (this.#violation !== undefined) throw new InvariantViolation(this.#violation);
    const failed = (error: unknown): never => {
      if (error instanceof InvariantViolation) this.#violation ??= error.message;
      throw error;
    };
    try {
      const value = body();
      return value instanceof Promise ? value.catch(failed) : value;
    } catch (error) {
      return failed(error);
    }
  }

  /**
   * Makes a decision real: carries its ops out, then takes its state. Quarantines that it found are announced even when it is a refusal.
   */
  apply(
    held: TextMutexHeld,
    decision: Change,
    author: { readonly client: string; readonly attachment?: string; readonly kind: string },
  ): Cost {
    const startUs = this.clock.monotonicUs();
    const trial = this.#trial;
    const lateMs = trial?.delayMs ?? 0;
    const summary = carryOut(held, this.text, NO_CPUS, decision.ops, { author, trial });
    this.#announceQuarantines(decision.state);
    this.state = decision.state;
    const syncingUs = ((trial?.delayMs ?? 0) - lateMs) * 1000;
    return { ...summary, textMutexHeldUs: Math.round(this.clock.monotonicUs() - startUs + syncingUs) };
  }

  /** An event that no command made. */
  #loose(event: ServiceEvent): void {
    if (this.#journal === undefined) this.events.publish(event.sequence);
    else this.#journal.writeEvent(event);
  }

  #announceQuarantines(next: KernelState): void {
    if (next.quarantined === this.state.quarantined) return;
    const view = this.view();
    for (const [at, found] of next.quarantined)
      if (!this.state.quarantined.has(at)) this.events.append('quarantined', { place: view.place(at), ...found });
  }
}

/** What planning reads of a kernel. The world may be that of another kernel version than the one whose rules decide here. */
export type PlanKernel = Pick<Kernel, 'world' | 'state' | 'text' | 'events' | 'clock'>;

export const granted = (decision: Decision): Result<Extract<Decision['outcome'], { kind: 'granted' }>, Fault> =>
  decision.outcome.kind === 'granted' ? ok(decision.outcome) : err(decision.outcome.fault);
