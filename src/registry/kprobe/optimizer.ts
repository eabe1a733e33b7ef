/**
 * The optimizer's run: what kprobes owe one another and do not do at once. Five jiffies after it was kicked Linux runs it on a work queue:
 *
 *   1. undo the jumps that are queued, disarm what is disabled, take out what nobody uses
 *   2. synchronize_rcu_tasks: no task is left inside the instructions that a jump will replace, or inside a detour to be freed
 *   3. int3 to jump for what is queued
 *   4. free what step 1 took out
 *   5. kick it again when something is queued still
 *
 * text_mutex is held throughout. Neither 6.1 nor 6.12 has a limit for one run (MAX_OPTIMIZE_PROBES is older).
 * Source: kernel/kprobes.c kprobe_optimizer, do_unoptimize_kprobes, do_optimize_kprobes, do_free_cleaned_kprobes, optimize_all_kprobes,
 * unoptimize_all_kprobes, wait_for_kprobe_optimizer (6.12; 6.1 alike).
 */
import { invariant, type ReadableText, toHex } from '../../base/index.ts';
import { remove } from '../arena.ts';
import { bpfOpsFunc } from '../bpf/trampoline.ts';
import { type DecisionOf, guarded } from '../decision.ts';
import type { KernelState, KprobeEntry } from '../model/state.ts';
import { Txn, UnexpectedBytes } from '../txn.ts';
import type { World } from '../world.ts';
import { entryAt, setOpt } from './entry.ts';
import { byHashBucket } from './hash-table.ts';
import { optimizeKprobe, unoptimizeKprobe } from './optimize.ts';
import { archDisarm, archOptimize, archUnoptimize, removeOptprobe } from './optprobe.ts';
import { dequeue, enqueue, fromHead, isUnused, kickOptimizer } from './queues.ts';

/** OPTIMIZE_DELAY. */
export const OPTIMIZE_DELAY_JIFFIES = 5;

export interface OptimizerRun {
  /** Addresses that became a jump. */
  readonly optimized: readonly number[];
  /** Addresses whose jump was undone. */
  readonly unoptimized: readonly number[];
  /** Addresses that no kprobe has any more. */
  readonly freed: readonly number[];
}

/** Does `step` for one probe; when text is not as it says, that site alone is quarantined and off the lists. False then. */
function forOne(txn: Txn, addr: number, step: () => void): boolean {
  try {
    step();
    return true;
  } catch (error) {
    if (!(error instanceof UnexpectedBytes)) throw error;
    txn.quarantined.set(addr, { expected: toHex(error.expected), actual: toHex(error.actual) });
    dequeue(txn, addr);
    return false;
  }
}

/** The attachment in whose name the history shows the poke: the newest probe of the address. */
function ownerOf(txn: Txn, addr: number): string | undefined {
  const newest = txn.kprobeTable.get(addr)?.children[0];
  return newest?.kind === 'probe' ? newest.id : undefined;
}

/** do_unoptimize_kprobes. What is to be freed after the grace period. */
function unoptimizeQueued(txn: Txn, unoptimized: number[]): readonly KprobeEntry[] {
  for (const addr of fromHead(txn, 'unoptimizing')) {
    if (!forOne(txn, addr, () => archUnoptimize(txn, addr, ownerOf(txn, addr)))) continue;
    enqueue(txn, 'freeing', addr);
    unoptimized.push(addr);
  }
  const cleaned: KprobeEntry[] = [];
  for (const addr of fromHead(txn, 'freeing')) {
    setOpt(txn, addr, { isOptimized: false });
    if (entryAt(txn, addr).isDisabled && !forOne(txn, addr, () => archDisarm(txn, addr, ownerOf(txn, addr)))) continue;
    dequeue(txn, addr);
    const entry = entryAt(txn, addr);
    if (!isUnused(entry)) continue;
    txn.kprobeTable.delete(addr);
    cleaned.push(entry);
  }
  return cleaned;
}

/** do_optimize_kprobes. */
function optimizeQueued(txn: Txn, optimized: number[]): void {
  if (!txn.isKprobesOptimization) return;
  for (const addr of fromHead(txn, 'optimizing')) {
    if (!forOne(txn, addr, () => archOptimize(txn, addr, ownerOf(txn, addr)))) {
      setOpt(txn, addr, { isOptimized: false });
      continue;
    }
    dequeue(txn, addr);
    optimized.push(addr);
  }
}

/** kprobe_optimizer. */
export function runOptimizer(txn: Txn): OptimizerRun {
  const optimized: number[] = [];
  const unoptimized: number[] = [];
  txn.optimizer = { ...txn.optimizer, isKicked: false };
  const cleaned = unoptimizeQueued(txn, unoptimized);
  txn.emit({ kind: 'wait', period: 'rcu_tasks', what: 'kprobe_optimizer' });
  optimizeQueued(txn, optimized);
  for (const { slot, opt } of cleaned) {
    // Freed slots wait for the tasks once more before they are used again (collect_garbage_slots).
    if (opt !== undefined) forOne(txn, opt.detour, () => removeOptprobe(txn, opt, ['rcu_tasks']));
    if (slot !== undefined) forOne(txn, slot, () => remove(txn, slot, ['rcu_tasks']));
  }
  if (!txn.optimizer.optimizing.isEmpty() || !txn.optimizer.unoptimizing.isEmpty()) kickOptimizer(txn);
  return { optimized, unoptimized, freed: cleaned.map(({ addr }) => addr) };
}

/** Decides what a run does. */
export function decideOptimizer(world: World, state: KernelState, text: ReadableText): DecisionOf<OptimizerRun> {
  return guarded<OptimizerRun>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const run = runOptimizer(txn);
    return {
      outcome: { kind: 'granted', ...run },
      state: txn.finish(),
      ops: txn.ops,
      warnings: txn.warnings,
      replaced: [],
    };
  });
}

/** wait_for_kprobe_optimizer. */
function finishQueues(txn: Txn): void {
  const { optimizing, unoptimizing } = txn.optimizer;
  const rounds = optimizing.size + unoptimizing.size;
  for (let round = 0; !txn.optimizer.optimizing.isEmpty() || !txn.optimizer.unoptimizing.isEmpty(); round++) {
    invariant(round <= rounds, 'the optimizer comes to an end');
    runOptimizer(txn);
  }
}

/** optimize_all_kprobes: in the order of the hash table. */
export function optimizeAllKprobes(txn: Txn): void {
  txn.isKprobesOptimization = true;
  for (const { addr, isDisabled } of byHashBucket(txn)) if (!isDisabled) optimizeKprobe(txn, addr);
}

/** unoptimize_all_kprobes: everything is an int3 when it returns. */
export function unoptimizeAllKprobes(txn: Txn): void {
  txn.isKprobesOptimization = false;
  for (const { addr, isDisabled } of byHashBucket(txn)) if (!isDisabled) unoptimizeKprobe(txn, addr, false);
  finishQueues(txn);
}
