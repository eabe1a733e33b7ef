import { type KernelState, stragglersOf } from '../registry/index.ts';
import type { Kernel } from './kernel.ts';

type Livepatching = KernelState['livepatching'];

function phaseOf(before: Livepatching['transition'], after: Livepatching['transition']): string | undefined {
  if (after === undefined) return before === undefined ? undefined : 'completed';
  if (before === undefined || before.attachment !== after.attachment) return 'started';
  if (before.target !== after.target) return 'reversed';
  return before.signals === after.signals ? undefined : 'signaled';
}

/** Tells what a command did to the transition. One that was over at once was none to speak of. */
export function announceTransition(kernel: Kernel, before: Livepatching): void {
  const { transition } = kernel.state.livepatching;
  const phase = phaseOf(before.transition, transition);
  const subject = transition ?? before.transition;
  if (phase === undefined || subject === undefined) return;
  kernel.events.append('transition', {
    attachment: subject.attachment,
    phase,
    target: subject.target,
    attempts: subject.attempts,
    waitsFor: transition === undefined ? 0 : stragglersOf(kernel.view(), transition).length,
  });
}
