/** What the coordinator offers about simulated tasks and the transitions that wait for them; a part of service.ts. */
import type { Errno, Result } from '../base/index.ts';
import type { KlpState, TaskChange, TaskKind, TaskRequest, TaskRunState } from '../registry/index.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export type { TaskChange, TaskRequest };

/** What sysfs says of a livepatch, and which tasks its transition waits for. */
export interface LivepatchView {
  readonly patch: string;
  readonly replace: boolean;
  /** Tasks were forced out of it: its code can never be unloaded. */
  readonly forced: boolean;
  readonly transition: {
    readonly target: KlpState;
    /** Attempts so far that left a task behind; there is one a second. */
    readonly attempts: number;
    /** How often the tasks that were left were sent a signal or woken: at every fifteenth attempt. */
    readonly signals: number;
    readonly tasks: number;
    readonly switched: number;
    readonly waitsFor: readonly {
      readonly task: string;
      readonly name: string;
      /** EADDRINUSE: sleeps in a function in question; EINVAL: unreliable stack; EBUSY: runs. */
      readonly errno: Errno;
      readonly why: string;
    }[];
  } | null;
  /** Functions that have it on their stack now. */
  readonly functions: readonly {
    readonly function: string;
    /** Where calls go; null: back to the original. */
    readonly replacement: string | null;
    readonly onTop: boolean;
  }[];
}

/** A simulated task. */
export interface TaskView {
  readonly id: string;
  readonly name: string;
  readonly kind: TaskKind;
  readonly client: string;
  readonly since: string;
  readonly state: TaskRunState;
  /** Innermost first. `asked` is the place that was named, `place` where the call arrived. */
  readonly stack: readonly { readonly address: string; readonly place: string; readonly asked: string }[];
  readonly reliable: boolean;
  /** task->patch_state; null while there is no transition. */
  readonly patchState: KlpState | null;
  /** TIF_PATCH_PENDING. */
  readonly patchPending: boolean;
}

export interface TaskCalls {
  newTask(caller: Caller, request: TaskRequest): Promise<Result<TaskView>>;
  moveTask(caller: Caller, id: string, change: TaskChange): Promise<Result<TaskView>>;
  endTask(caller: Caller, id: string): Promise<Result<TaskView>>;
  tasks(page: PageRequest): Result<Page<TaskView>>;
  task(id: string): Result<TaskView>;
}
