/**
 * What changes the kernel, as data. A command is run under text_mutex and takes time and ids from `now` alone, so that the same commands
 * over the same image lead to the same state, the same text and the same events: that is what the journal keeps, and what recovery runs.
 */
import type { Result } from '../base/index.ts';
import type { TextMutexHeld } from '../textpoke/index.ts';
import type { Kernel } from './kernel.ts';
import type { Caller } from './service.ts';

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
  /** Decides, carries out, takes the state, tells. */
  run(turn: CommandTurn, input: Input): Result<Answer>;
}

export interface CommandTurn {
  readonly kernel: Kernel;
  readonly held: TextMutexHeld;
  readonly caller: Caller;
  readonly now: CommandTime;
}
