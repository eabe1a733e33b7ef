/** A command from its turn to its end: what it is handed, what is kept of it, and what is told meanwhile. */
import type { Progress, Result } from '../base/index.ts';
import type { TextMutexHeld } from '../textpoke/index.ts';
import type { Command, CommandTime, CommandTurn, RanCommand } from './command.ts';
import type { Kernel } from './kernel.ts';
import type { Caller, ServiceEvent } from './service.ts';
import { pruneLeases } from './sessions.ts';

export interface RunningCommand<Answer> {
  readonly turn: CommandTurn;
  /** Runs a part of it: at its time, and keeping the events for it. */
  within<T>(body: () => T): T;
  end(answer: Result<Answer>): RanCommand<Answer>;
}

export function beginCommand<Input, Answer>(
  kernel: Kernel,
  held: TextMutexHeld,
  command: Command<Input, Answer>,
  caller: Caller,
  input: Input,
  time: CommandTime,
): RunningCommand<Answer> {
  const ids: string[] = [];
  const newId = (prefix: string): string => {
    const id = time.newId(prefix);
    ids.push(id);
    return id;
  };
  const { state: before, leases } = kernel;
  const events: ServiceEvent[] = [];
  return {
    turn: { kernel, held, caller, now: { ms: time.ms, newId } },
    within: (body) => {
      const collected = kernel.events.collect(() => kernel.clock.during(time.ms, body));
      events.push(...collected.events);
      return collected.value;
    },
    end: (answer) => {
      pruneLeases(kernel, before.attachments, detachedIn(events));
      return {
        kind: command.kind,
        input,
        timeMs: time.ms,
        ids,
        events,
        answer,
        isAnswerPrivate: command.isAnswerPrivate === true,
        hasChanged: answer.ok || kernel.state !== before || kernel.leases !== leases,
      };
    },
  };
}

const detachedIn = (events: readonly ServiceEvent[]): readonly string[] =>
  events.flatMap(({ type, data }) => (type === 'detached' ? [String(data['attachment'])] : []));

/** Between two reports of one command. */
const PROGRESS_US = 100_000;

/** Tells the kernel's listeners now and then. */
export function progressTeller(
  kernel: Kernel,
  { client, requestId }: Caller,
  command: string,
): (progress: Progress) => void {
  let toldUs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const nowUs = kernel.clock.monotonicUs();
    if (nowUs - toldUs < PROGRESS_US) return;
    toldUs = nowUs;
    for (const listener of kernel.progressListeners) listener({ ...progress, client, requestId, command });
  };
}
