/** What can be said of a patch and its transition: for views, warnings and refusals. Reads a Txn and changes nothing. */
import type { Attachment, KlpPatch, KlpState, KlpTransition, Task } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { type Obstacle, obstacle } from './tasks.ts';

/** A task that a transition waits for, and why it could not be switched at the last attempt. */
export interface Straggler {
  readonly task: Task;
  readonly obstacle: Obstacle;
}

/** The tasks that could not be switched if it were tried now, in the order in which they came. */
export function stragglersOf(txn: Txn, transition: KlpTransition): readonly Straggler[] {
  return [...txn.tasks.values()].flatMap((task) => {
    const found = obstacle(txn, transition, task);
    return found === undefined ? [] : [{ task, obstacle: found }];
  });
}

/** Why it could not be switched, as a sentence goes on behind the task's name. */
export function obstacleText(txn: Txn, found: Obstacle): string {
  switch (found.errno) {
    case 'EBUSY':
      return 'is running';
    case 'EINVAL':
      return 'has an unreliable stack';
    case 'EADDRINUSE':
      return `is sleeping on function ${txn.place(found.func)}`;
  }
}

const NAMED = 3;

/** `task_1 (reader) is sleeping on function vfs_read.`; names the first three. */
export function stragglers(txn: Txn): string {
  const { transition } = txn.livepatching;
  const all = transition === undefined ? [] : stragglersOf(txn, transition);
  if (all.length === 0) return 'the next attempt completes it.';
  const named = all
    .slice(0, NAMED)
    .map(({ task, obstacle: why }) => `${task.id} (${task.name}) ${obstacleText(txn, why)}`);
  const rest = all.length - named.length;
  return `${named.join(', ')}${rest === 0 ? '' : `, and ${rest} more`}.`;
}

export interface LivepatchFacts {
  readonly patch: string;
  readonly replace: boolean;
  /** Its code can never be unloaded. */
  readonly forced: boolean;
  readonly transition:
    | {
        readonly target: KlpState;
        readonly attempts: number;
        readonly signals: number;
        readonly switched: number;
        readonly tasks: number;
        readonly waitsFor: readonly Straggler[];
      }
    | undefined;
  /** Of each function that its stack has this patch in: what runs instead, and whether it is on top. */
  readonly functions: readonly {
    readonly func: number;
    readonly replacement: number | undefined;
    readonly isOnTop: boolean;
  }[];
}

/** The name of a patch is its module's. */
export const patchName = (attachment: string, options: Attachment['options']): string =>
  typeof options['patch'] === 'string' ? options['patch'] : `livepatch_${attachment}`;

/** What sysfs shows of a patch, and more. */
export function livepatchFacts(txn: Txn, { id: attachment, options }: Attachment): LivepatchFacts {
  const patch: KlpPatch | undefined = txn.livepatching.patches.find((each) => each.attachment === attachment);
  const { transition } = txn.livepatching;
  const own = transition?.attachment === attachment ? transition : undefined;
  const tasks = [...txn.tasks.values()];
  return {
    patch: patchName(attachment, options),
    replace: options['replace'] === true,
    forced: patch?.isForced === true || txn.livepatching.forced.includes(attachment),
    transition: own && {
      target: own.target,
      attempts: own.attempts,
      signals: own.signals,
      switched: tasks.filter((task) => task.patchState === own.target).length,
      tasks: tasks.length,
      waitsFor: stragglersOf(txn, own),
    },
    functions: [...txn.livepatches.values()].flatMap(({ func, stack }) => {
      const entry = stack.find((each) => each.attachment === attachment);
      if (entry === undefined) return [];
      return [{ func, replacement: entry.isNop ? undefined : entry.at, isOnTop: stack[0] === entry }];
    }),
  };
}
