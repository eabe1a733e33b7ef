/**
 * The optimizer's three lists, and what follows for a probe from being on one.
 * Source: kernel/kprobes.c optimizing_list, unoptimizing_list, freeing_list, kprobe_queued, kprobe_disarmed, kprobe_unused,
 * optprobe_queued_unopt, kick_kprobe_optimizer (6.12; 6.1 alike).
 */
import type { KprobeEntry, OptimizerState } from '../model/state.ts';
import type { Txn } from '../txn.ts';

type Queue = Exclude<keyof OptimizerState, 'isKicked'>;
const QUEUES: readonly Queue[] = ['optimizing', 'unoptimizing', 'freeing'];

export const isQueued = (txn: Txn, addr: number): boolean => QUEUES.some((queue) => txn.optimizer[queue].has(addr));

export const isQueuedToUnoptimize = (txn: Txn, addr: number): boolean => txn.optimizer.unoptimizing.has(addr);

/** list_del_init. */
export function dequeue(txn: Txn, addr: number): void {
  for (const queue of QUEUES)
    if (txn.optimizer[queue].has(addr))
      txn.optimizer = { ...txn.optimizer, [queue]: txn.optimizer[queue].delete(addr) };
}

/** list_add, list_move: at the head, off any other list. */
export function enqueue(txn: Txn, queue: Queue, addr: number): void {
  dequeue(txn, addr);
  txn.optimizer = { ...txn.optimizer, [queue]: txn.optimizer[queue].add(addr) };
}

/** Addresses from the head of a list. */
export const fromHead = (txn: Txn, queue: Queue): readonly number[] => txn.optimizer[queue].toArray().reverse();

/** kick_kprobe_optimizer: the work is scheduled, once. */
export function kickOptimizer(txn: Txn): void {
  txn.optimizer = { ...txn.optimizer, isKicked: true };
}

/** kprobe_disarmed: disabled, and the optimizer owes it nothing. */
export const isDisarmed = (txn: Txn, entry: KprobeEntry): boolean => entry.isDisabled && !isQueued(txn, entry.addr);

/** kprobe_unused: everybody has left, only the optimizer still knows it. */
export const isUnused = (entry: KprobeEntry): boolean =>
  entry.isAggregate && entry.isDisabled && entry.children.length === 0;
