/**
 * What changes the kernel, as data. A command is run under text_mutex and takes time and ids from `now` alone, so that the same commands
 * over the same image lead to the same state, the same text and the same events: that is what the journal keeps, and what recovery runs.
 */
import type { Fault, Progress, Result, Steps } from '../base/index.ts';
import type { TextMutexHeld } from '../textpoke/index.ts';
import type { Kernel } from './kernel.ts';
import type { Caller, ServiceEvent } from './service.ts';

/** When a command runs, and where its ids come from. */
export interface CommandTime {
  /** Milliseconds since 1970; the same throughout one command. */
  readonly ms: number;
  readonly newId: (prefix: string) => string;
}

/** Plain data: what JSON keeps. */
export interface Command<Input, Answer> {
  /** Stands in the journal and never changes its meaning. */
  readonly kind: string;
  /** What the caller waits for, for others in the queue: `attach kprobe`. */
  describe(input: Input): string;
  /** Its answer is not what the caller is told (that has a secret), so no repeat gets it from the journal. */
  readonly isAnswerPrivate?: true;
  /** A refusal that depends on how the service was started, and not on the kernel: asked when the turn has come, never when run again. */
  admit?(kernel: Kernel, caller: Caller, input: Input): Fault | undefined;
  /** Decides, carries out, takes the state, tells. */
  run(turn: CommandTurn, input: Input): Result<Answer>;
  /**
   * The same in steps, of a command that may take long. At each of them the kernel and its events are as before the command. Then others may
   * read; nobody else changes anything, since text_mutex is held.
   */
  steps?(turn: CommandTurn, input: Input): Steps<Result<Answer>>;
}

/** Told while a command works for long, and kept nowhere. */
export interface CommandProgress extends Progress {
  /** Who waits for it, and for what: `attach ftrace`. */
  readonly client: string;
  readonly requestId: string;
  readonly command: string;
}

export interface CommandTurn {
  readonly kernel: Kernel;
  readonly held: TextMutexHeld;
  readonly caller: Caller;
  readonly now: CommandTime;
}

/** A command that has been run, with all that running it again needs, and what came of it. */
export interface RanCommand<Answer> {
  readonly kind: string;
  readonly input: unknown;
  readonly timeMs: number;
  /** In the order in which they were taken. */
  readonly ids: readonly string[];
  readonly events: readonly ServiceEvent[];
  readonly answer: Result<Answer>;
  readonly isAnswerPrivate: boolean;
  /** False for a refusal that left everything as it was: then its events are all there is to keep. */
  readonly hasChanged: boolean;
}

/** Where commands are kept before they are acknowledged. */
export interface KernelJournal {
  /**
   * The answer to an earlier request with this Idempotency-Key whose change became durable after its client was told that nobody knows; taken
   * once.
   */
  lateAnswer(idempotency: NonNullable<Caller['idempotency']>): { readonly value: unknown } | undefined;
  /** Why nothing can be kept now; commands are refused with it. */
  readonly failing: Fault | undefined;
  /** The promise resolves when the command is on disk, or with what went wrong. `lastEvent` is the number of the newest event. */
  write(ran: RanCommand<unknown>, caller: Caller, lastEvent: number): Promise<Result<number>>;
  writeEvent(event: ServiceEvent): void;
}
