import { ok, type Result } from '../base/index.ts';
import { initialState } from '../registry/index.ts';
import { resetText } from '../textpoke/index.ts';
import type { Command, CommandTurn } from './command.ts';
import { detachOne } from './commands.ts';
import type { Kernel } from './kernel.ts';
import { finishOptimizer } from './kprobe-optimizer.ts';
import { DELETE_MAP } from './maps.ts';
import { UNLOAD_PROGRAM } from './programs.ts';
import type { Caller, ResetAnswer } from './service.ts';
import { END_TASK } from './tasks.ts';
import { TRANSITION_WORK } from './transitions.ts';

/** Tasks that are gone keep nothing: a transition that waited for them ends. */
function endTasks(turn: CommandTurn, tenant: string | undefined): void {
  for (const task of [...turn.kernel.state.tasks.values()])
    if (tenant === undefined || task.tenant === tenant) END_TASK.run(turn, { id: task.id });
  TRANSITION_WORK.run(turn, {});
}

/**
 * Ends the tasks of the caller's tenant and detaches everything of it, newest first. With `all`, everybody's, and then text and owners start afresh, so that a dead or
 * damaged simulated kernel is whole again.
 */
export const reset = (kernel: Kernel, caller: Caller, all: boolean): Promise<Result<ResetAnswer>> =>
  kernel.execute(RESET, caller, { all });

export const RESET: Command<{ readonly all: boolean }, ResetAnswer> = {
  kind: 'reset',
  describe: () => 'reset',
  run(turn, { all }) {
    const { kernel, held, caller } = turn;
    const mine = [...kernel.state.attachments.values()]
      .filter((attachment) => all || attachment.tenant === caller.tenant)
      .sort((a, b) => b.sequence - a.sequence);
    const asAdmin = { ...caller, isAdmin: all || caller.isAdmin };
    endTasks({ ...turn, caller: asAdmin }, all ? undefined : caller.tenant);
    for (const { id } of mine) {
      const done = detachOne({ ...turn, caller: asAdmin }, id);
      if (!done.ok && !all) return done;
    }
    finishOptimizer(turn);
    for (const { id, tenant } of [...kernel.state.programs.values()])
      if (all || tenant === caller.tenant) UNLOAD_PROGRAM.run({ ...turn, caller: asAdmin }, { id });
    for (const { id, tenant } of [...kernel.state.maps.values()])
      if (all || tenant === caller.tenant) DELETE_MAP.run({ ...turn, caller: asAdmin }, { id });
    if (all) {
      resetText(held, kernel.text);
      // Modules go with everything else: the kernel is as it was when it had booted.
      kernel.state = { ...initialState(kernel.world), revisions: kernel.state.revisions };
    }
    const { sequence } = kernel.events.append('image', { reset: all ? 'all' : 'tenant', detached: mine.length });
    return ok({ detached: mine.length, sequence });
  },
};
