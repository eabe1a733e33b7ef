/** A livepatch's transition while it goes on: its worker's attempts, force, and what is told of it. */
import { err, ok, type Result } from '../base/index.ts';
import { decideForce, decideTransitionWork, TRANSITION_RETRY_MS } from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import { attachmentAnswer } from './attachment-answer.ts';
import type { Command } from './command.ts';
import { announceReplaced, own, reject } from './commands.ts';
import { DelayedWork } from './delayed-work.ts';
import type { Kernel } from './kernel.ts';
import type { AttachmentView, Caller } from './service.ts';
import { announceTransition } from './transition-events.ts';

/** Who does what nobody asked for at that moment. */
const KERNEL: Caller = { client: 'kernel', tenant: 'kernel', isAdmin: true, requestId: 'kernel' };

/** klp_transition_work_fn: one more attempt. */
export const TRANSITION_WORK: Command<Readonly<Record<string, never>>, null> = {
  kind: 'transition-work',
  describe: () => 'klp_transition_work_fn',
  run({ kernel, held, caller }) {
    const before = kernel.state.livepatching;
    if (before.transition === undefined) return ok(null);
    const { attachment } = before.transition;
    const decision = decideTransitionWork(kernel.world, kernel.state, kernel.text);
    kernel.apply(held, decision, { client: caller.client, attachment, kind: 'livepatch' });
    // Nobody asked, so nobody is told; ftrace has died, and the next attempt will find the same.
    if (decision.outcome.kind === 'refused') return err(decision.outcome.fault);
    announceTransition(kernel, before);
    announceReplaced(kernel, decision.replaced, decision.outcome.attachment);
    announcePokes(kernel, caller, attachment, decision.ops);
    return ok(null);
  },
};

export const force = (kernel: Kernel, caller: Caller, id: string): Promise<Result<AttachmentView>> =>
  kernel.execute(FORCE, caller, { id });

/** force_store: the tasks that are left go over wherever they are. */
export const FORCE: Command<{ readonly id: string }, AttachmentView> = {
  kind: 'force',
  describe: () => 'force a transition',
  run({ kernel, held, caller }, { id }) {
    const attachment = own(kernel, caller, id);
    if (!attachment.ok) return reject(kernel, caller, { force: id }, attachment.fault);
    const decision = decideForce(kernel.world, kernel.state, kernel.text, id);
    kernel.apply(held, decision, { client: caller.client, attachment: id, kind: attachment.value.kind });
    const { outcome } = decision;
    if (outcome.kind === 'refused') return reject(kernel, caller, { force: id }, outcome.fault);
    const target = kernel.state.livepatching.transition?.target;
    kernel.events.append('transition', { attachment: id, phase: 'forced', target, by: caller.client, waitsFor: 0 });
    return ok(attachmentAnswer(kernel, outcome.attachment, false));
  },
};

/**
 * The worker: as long as a transition goes on it is tried once a second to complete it. Answers how to stop. An attempt that found no turn is
 * made up for; a kernel with a violated invariant makes none.
 */
export function startTransitionWorker(kernel: Kernel): () => void {
  const work = new DelayedWork(kernel.clock, TRANSITION_RETRY_MS, () => {
    kernel.execute(TRANSITION_WORK, KERNEL, {}).then(
      (done) => {
        if (!done.ok) again();
      },
      () => undefined,
    );
  });
  const again = (): void => {
    if (kernel.state.livepatching.transition !== undefined && kernel.violation === undefined) work.schedule();
  };
  const stop = kernel.onCommandDone(again);
  again();
  return () => {
    stop();
    work.cancel();
  };
}
