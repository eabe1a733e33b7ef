/**
 * Who is queued for the optimizer, and who is not let wait for it.
 * Source: kernel/kprobes.c optimize_kprobe, unoptimize_kprobe, force_unoptimize_kprobe, get_optimized_kprobe, reuse_unused_kprobe;
 * arch/x86/kernel/kprobes/opt.c arch_check_optimized_kprobe, arch_within_optimized_kprobe (6.12; 6.1 alike).
 */
import { hasHitBreak } from '../kgdb/breakpoints.ts';
import type { KprobeEntry, Optprobe } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { MAX_OPTIMIZED_LENGTH } from './can-optimize.ts';
import { entryAt, setOpt } from './entry.ts';
import { archUnoptimize } from './optprobe.ts';
import { dequeue, enqueue, isDisarmed, isQueued, isQueuedToUnoptimize, kickOptimizer } from './queues.ts';

/** The probe, armed or owed something, whose jump would replace the instruction at `addr`, which is not its own. */
export function getOptimizedKprobe(txn: Txn, addr: number): KprobeEntry | undefined {
  for (let at = addr - 1; at > addr - MAX_OPTIMIZED_LENGTH; at--) {
    const entry = txn.kprobeTable.get(at);
    if (entry?.opt === undefined || isDisarmed(txn, entry)) continue;
    if (addr < at + entry.opt.size) return entry;
  }
  return undefined;
}

/** arch_check_optimized_kprobe; and in `safe` strictness a breakpoint of kgdb's counts, too, over which Linux would write. */
function isRegionFree(txn: Txn, addr: number, { size }: Optprobe): boolean {
  for (let at = addr + 1; at < addr + size; at++) {
    const other = txn.kprobeTable.get(at);
    if (other !== undefined && !isDisarmed(txn, other)) return false;
    if (txn.world.strictness === 'safe' && hasHitBreak(txn, at)) return false;
  }
  return true;
}

/** True when some probe of the address asked to stay an int3. */
const keepsInt3 = (txn: Txn, entry: KprobeEntry): boolean =>
  entry.children.some((child) => child.kind === 'probe' && txn.kprobes.get(child.id)?.keepsInt3 === true);

/** optimize_kprobe: marks it and queues it, when nothing speaks against it; takes it back from those to be undone. */
export function optimizeKprobe(txn: Txn, addr: number): void {
  const entry = txn.kprobeTable.get(addr);
  if (entry?.opt === undefined || !txn.isKprobesOptimization || entry.isDisabled) return;
  if (entry.hasPostHandler || keepsInt3(txn, entry) || !isRegionFree(txn, addr, entry.opt)) return;
  if (entry.opt.isOptimized) {
    if (isQueuedToUnoptimize(txn, addr)) dequeue(txn, addr);
    return;
  }
  setOpt(txn, addr, { isOptimized: true });
  // Linux warns of one that is still on the list of those to be freed, and leaves it there.
  if (isQueued(txn, addr)) return;
  enqueue(txn, 'optimizing', addr);
  kickOptimizer(txn);
}

function forceUnoptimize(txn: Txn, addr: number): void {
  archUnoptimize(txn, addr);
  setOpt(txn, addr, { isOptimized: false });
}

/** unoptimize_kprobe: at once with `force`, else when the optimizer runs. */
export function unoptimizeKprobe(txn: Txn, addr: number, force: boolean): void {
  const entry = entryAt(txn, addr);
  if (entry.opt?.isOptimized !== true || isDisarmed(txn, entry)) return;
  if (isQueuedToUnoptimize(txn, addr)) {
    if (!force) return;
    forceUnoptimize(txn, addr);
    enqueue(txn, 'freeing', addr);
    return;
  }
  if (isQueued(txn, addr)) {
    dequeue(txn, addr);
    setOpt(txn, addr, { isOptimized: false });
    return;
  }
  if (force) {
    forceUnoptimize(txn, addr);
    return;
  }
  enqueue(txn, 'unoptimizing', addr);
  kickOptimizer(txn);
}

/** reuse_unused_kprobe: somebody came before the optimizer did; the jump, when it still stands, stays. */
export function reuseUnusedKprobe(txn: Txn, addr: number): void {
  txn.setEntry({ ...entryAt(txn, addr), isDisabled: false });
  optimizeKprobe(txn, addr);
}
