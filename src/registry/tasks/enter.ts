import { err, ok, type Result } from '../../base/index.ts';
import { klpHandlerTarget } from '../livepatch/stack.ts';
import type { Task, TaskFrame } from '../model/state.ts';
import { locate, parsePlace } from '../place.ts';
import { refuse } from '../rules/rule.ts';
import { TASK_PLACE } from '../rules/task.ts';
import type { Txn } from '../txn.ts';

/**
 * Where a call that is made now arrives. A function that is named without an offset is called, so a livepatch sends the task to its
 * replacement, by the task's own patch state; any other place is where the task is, whatever the function's entry says.
 */
function arrival(txn: Txn, task: Pick<Task, 'patchState'>, at: number, isCall: boolean): number {
  const patched = isCall ? txn.livepatches.get(at) : undefined;
  return (patched === undefined ? undefined : klpHandlerTarget(txn, patched, task.patchState)) ?? at;
}

function frame(txn: Txn, task: Pick<Task, 'patchState'>, text: string, index: number): Result<TaskFrame> {
  const place = parsePlace(text);
  const at = place === undefined ? undefined : locate(txn.world, place);
  if (place === undefined || at === undefined || !txn.text.contains(at, 1))
    return err(refuse(TASK_PLACE, { detail: `${JSON.stringify(text)} is not a place in text.`, index }));
  const isCall = place.kind === 'symbol' && place.delta === 0;
  const serial = txn.nextFrame;
  txn.nextFrame += 1;
  return ok({ serial, text, at: arrival(txn, task, at, isCall) });
}

/**
 * The stack that a task has when it is said to be in these calls, innermost first. Calls that it was in before, counted from the outermost, it is
 * still in; the others it makes now.
 */
export function enterStack(
  txn: Txn,
  task: Pick<Task, 'patchState' | 'stack'>,
  wanted: readonly string[],
): Result<readonly TaskFrame[]> {
  const before = [...task.stack].reverse();
  const outermostFirst: TaskFrame[] = [];
  for (const [depth, text] of [...wanted].reverse().entries()) {
    const kept = before[depth];
    if (
      kept?.text === text &&
      outermostFirst.length === depth &&
      outermostFirst.every((each, i) => each === before[i])
    ) {
      outermostFirst.push(kept);
      continue;
    }
    const entered = frame(txn, task, text, wanted.length - 1 - depth);
    if (!entered.ok) return entered;
    outermostFirst.push(entered.value);
  }
  return ok(outermostFirst.reverse());
}
