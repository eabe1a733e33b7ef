/** The kprobe optimizer as a command: what `kprobe_optimizer` does on its work queue, under text_mutex. */
import { ok } from '../base/index.ts';
import { decideOptimizer, OPTIMIZE_DELAY_JIFFIES } from '../registry/index.ts';
import { announcePokes } from './announce-pokes.ts';
import type { Command, CommandTurn } from './command.ts';
import type { Kernel } from './kernel.ts';
import { OptimizerTimer } from './optimizer-timer.ts';
import type { Caller } from './service.ts';

/** CONFIG_HZ of Debian's kernels, and the default. */
const HZ = 250;
export const OPTIMIZE_DELAY_MS = (OPTIMIZE_DELAY_JIFFIES * 1000) / HZ;

/** The kernel itself: its name stands in histories and events. */
const KERNEL: Caller = {
  client: 'kprobe_optimizer',
  tenant: 'kernel',
  isAdmin: true,
  requestId: 'kprobe_optimizer',
};

interface Optimized {
  readonly optimized: number;
  readonly unoptimized: number;
  readonly freed: number;
}

export const KPROBE_OPTIMIZER: Command<Readonly<Record<never, never>>, Optimized> = {
  kind: 'kprobe-optimizer',
  describe: () => 'kprobe optimizer',
  run({ kernel, held }) {
    const nothing = { optimized: 0, unoptimized: 0, freed: 0 };
    if (!kernel.state.optimizer.isKicked) return ok(nothing);
    const decision = decideOptimizer(kernel.world, kernel.state, kernel.text);
    kernel.apply(held, decision, { client: KERNEL.client, kind: 'kprobe' });
    announcePokes(kernel, KERNEL, null, decision.ops);
    const { outcome } = decision;
    if (outcome.kind === 'refused') return ok(nothing);
    return ok({
      optimized: outcome.optimized.length,
      unoptimized: outcome.unoptimized.length,
      freed: outcome.freed.length,
    });
  },
};

/** Inside another command: runs until nothing is owed. */
export function finishOptimizer(turn: CommandTurn): void {
  while (turn.kernel.state.optimizer.isKicked) KPROBE_OPTIMIZER.run({ ...turn, caller: KERNEL }, {});
}

/** One run in a turn of its own. False when it has to be tried again. Nothing is owed by a kernel that stopped writing. */
async function runOptimizerOnce(kernel: Kernel): Promise<boolean> {
  try {
    return (await kernel.execute(KPROBE_OPTIMIZER, KERNEL, {})).ok;
  } catch (error) {
    // An invariant violation: the kernel has taken note, and nobody waits for this answer.
    if (kernel.violation === undefined) throw error;
    return true;
  }
}

/** wait_for_kprobe_optimizer: until nothing is owed, without waiting for the delay. */
export async function waitForKprobeOptimizer(kernel: Kernel): Promise<void> {
  while (kernel.state.optimizer.isKicked && kernel.violation === undefined) await runOptimizerOnce(kernel);
}

/**
 * Whether the optimizer owes one of these places its old bytes (unregister_kprobe leaves a jump to it). Then the caller is answered after its
 * run: Linux's unregister_kprobe returns behind a synchronize_rcu, which is no shorter than the optimizer's delay in practice.
 */
export async function waitForUnoptimized(kernel: Kernel, places: readonly number[]): Promise<boolean> {
  const { unoptimizing, freeing } = kernel.state.optimizer;
  if (!places.some((at) => unoptimizing.has(at) || freeing.has(at))) return false;
  await new Promise<void>((resolve) => {
    kernel.clock.after(OPTIMIZE_DELAY_MS, resolve);
  });
  await waitForKprobeOptimizer(kernel);
  return true;
}

/** Lets the optimizer run by itself from now on; returns what ends that. */
export function startOptimizer(kernel: Kernel): () => void {
  const timer = new OptimizerTimer({
    clock: kernel.clock,
    delayMs: OPTIMIZE_DELAY_MS,
    isKicked: () => kernel.state.optimizer.isKicked,
    run: () => runOptimizerOnce(kernel),
  });
  const unsubscribe = kernel.onCommandDone(() => timer.poll());
  return () => {
    unsubscribe();
    timer.stop();
  };
}
