/**
 * Probes whose text is given back become GONE.
 * Source: kernel/kprobes.c kprobes_module_callback, kill_kprobe (6.12; 6.1 alike).
 */
import type { Fault } from '../../base/index.ts';
import { remove } from '../arena.ts';
import { disarmFtrace } from '../kprobe/arm.ts';
import { removeOptprobe } from '../kprobe/optprobe.ts';
import { dequeue } from '../kprobe/queues.ts';
import type { KprobeEntry } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/**
 * An int3 is left where it is: its memory goes away. A probe at an ftrace site is disarmed first, since ftrace still has the site.
 */
function kill(txn: Txn, entry: KprobeEntry): Fault | undefined {
  const fault = entry.isFtrace && !entry.isDisabled ? disarmFtrace(txn, entry) : undefined;
  // kill_optimized_kprobe: the code is not touched, it is given back.
  dequeue(txn, entry.addr);
  if (entry.opt !== undefined) removeOptprobe(txn, entry.opt, ['rcu', 'rcu_tasks']);
  if (entry.slot !== undefined) remove(txn, entry.slot, ['rcu', 'rcu_tasks']);
  for (const child of entry.children)
    if (child.kind === 'probe') txn.kprobes.set(child.id, { ...txn.kprobe(child.id), isGone: true, isDisabled: true });
  // kprobe_disabled is true of what is GONE; and a later probe there does not take over its post_handler.
  const gone = { isGone: true, isDisabled: true, hasPostHandler: false, first: 'original' } as const;
  txn.setEntry({ ...entry, ...gone, slot: undefined, opt: undefined });
  txn.touched.add(entry.addr);
  return fault;
}

/** Every probe in memory that `isGivenBack` names. What Linux ignores, a failure to disarm, is a warning. */
export function killProbes(txn: Txn, isGivenBack: (addr: number) => boolean): void {
  for (const entry of [...txn.kprobeTable.values()]) {
    if (entry.isGone === true || !isGivenBack(entry.addr)) continue;
    const fault = kill(txn, entry);
    if (fault !== undefined)
      txn.warnings.push(`The probe at ${txn.place(entry.addr)} could not be disarmed (${fault.errno}, ${fault.rule}).`);
  }
}
