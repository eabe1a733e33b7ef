import { InvariantViolation } from '../../base/index.ts';
import type { JournalContents } from '../../journal/index.ts';
import type { TextMutexHeld } from '../../textpoke/index.ts';
import type { Command, RanCommand } from '../command.ts';
import type { Kernel } from '../kernel.ts';
import type { Caller, RecoveredAnswer, ServiceEvent } from '../service.ts';
import { COMMANDS } from './all-commands.ts';

/** One record of the journal: a command, or events alone (a refusal that changed nothing, something that no command did). */
export interface KernelEntry {
  readonly command?: {
    readonly kind: string;
    readonly client: string;
    readonly tenant: string;
    readonly isAdmin: boolean;
    readonly input: unknown;
    readonly timeMs: number;
    readonly ids: readonly string[];
  };
  readonly events: readonly ServiceEvent[];
  /** The answer to a request that named an Idempotency-Key: a repeat gets it, after a restart, too. */
  readonly answered?: { readonly scope: string; readonly hash: string; readonly value: unknown };
}

export function entryOf(ran: RanCommand<unknown>, caller: Caller): KernelEntry {
  if (!ran.hasChanged) return { events: ran.events };
  const { kind, input, timeMs, ids } = ran;
  const { client, tenant, isAdmin, idempotency } = caller;
  return {
    command: { kind, client, tenant, isAdmin, input, timeMs, ids },
    events: ran.events,
    ...(idempotency !== undefined && ran.answer.ok && !ran.isAnswerPrivate
      ? { answered: { ...idempotency, value: ran.answer.value } }
      : {}),
  };
}

/** The answers that the records of a journal hold. */
export function recordedAnswers({ records }: JournalContents): readonly RecoveredAnswer[] {
  return records.flatMap(({ value }) => {
    const { answered, command } = value as KernelEntry;
    if (answered === undefined || command === undefined) return [];
    return [{ ...answered, command: command.kind, timeMs: command.timeMs }];
  });
}

/** The journal says one thing and running its commands another: it was written by a program that decides differently, or is wrong. */
export class ReplayMismatch extends Error {}

const EVENT_FIELDS = ['sequence', 'type', 'time'] as const;

function compareEvents(kind: string, recorded: readonly ServiceEvent[], events: readonly ServiceEvent[]): void {
  const differs =
    recorded.length !== events.length ||
    recorded.some((event, i) => EVENT_FIELDS.some((field) => event[field] !== events[i]?.[field]));
  if (!differs) return;
  const text = (list: readonly ServiceEvent[]): string =>
    list.map(({ sequence, type }) => `${sequence} ${type}`).join(', ');
  throw new ReplayMismatch(`${kind} led to the events ${text(recorded)} then, and to ${text(events)} now`);
}

/** Runs a recorded command again. Throws {@link ReplayMismatch} when it does not lead to what it led to. */
export function replayEntry(kernel: Kernel, held: TextMutexHeld, entry: KernelEntry): void {
  const { command, events } = entry;
  if (command === undefined) {
    kernel.events.restore(events, events.at(-1)?.sequence ?? 0);
    return;
  }
  const found = COMMANDS.get(command.kind) as Command<unknown, unknown> | undefined;
  if (found === undefined) throw new ReplayMismatch(`${command.kind} is no command of this program`);
  const { client, tenant, isAdmin, timeMs } = command;
  const ids = [...command.ids];
  const newId = (): string => {
    const id = ids.shift();
    if (id === undefined) throw new ReplayMismatch(`${command.kind} takes more ids than it took`);
    return id;
  };
  const caller: Caller = { client, tenant, isAdmin, requestId: 'recovery' };
  const ran = runAgain(() => kernel.runHeld(held, found, caller, command.input, { ms: timeMs, newId }), command.kind);
  compareEvents(command.kind, events, ran.events);
  kernel.events.publish(ran.events.at(-1)?.sequence ?? 0);
}

function runAgain(run: () => RanCommand<unknown>, kind: string): RanCommand<unknown> {
  try {
    return run();
  } catch (error) {
    if (error instanceof InvariantViolation)
      throw new ReplayMismatch(`${kind} breaks an invariant now: ${error.message}`);
    throw error;
  }
}
