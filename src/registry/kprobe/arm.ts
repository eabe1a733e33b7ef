/**
 * Arming and disarming: int3 in a body, one of two shared ftrace_ops at a function entry.
 * Source: kernel/kprobes.c __arm_kprobe, __disarm_kprobe, __arm_kprobe_ftrace, __disarm_kprobe_ftrace (6.12; 6.1 alike).
 */
import type { Fault } from '../../base/index.ts';
import { cleanupDirectAfterIpmodify, prepareDirectForIpmodify } from '../ftrace/ipmodify.ts';
import { registerFtraceFunction, setFilterIp, unregisterFtraceFunction } from '../ftrace/ops.ts';
import type { KprobeEntry } from '../model/state.ts';
import { FTRACE_PEER_NOT_ASKED } from '../rules/ftrace.ts';
import type { Txn } from '../txn.ts';
import { entryAt } from './entry.ts';
import { getOptimizedKprobe, optimizeKprobe, unoptimizeKprobe } from './optimize.ts';
import { archArm, archDisarm } from './optprobe.ts';
import { isQueued } from './queues.ts';

export const KPROBE_FTRACE_OPS = 'kprobe_ftrace_ops';
export const KPROBE_IPMODIFY_OPS = 'kprobe_ipmodify_ops';

const sharedOps = (entry: KprobeEntry): string => (entry.hasPostHandler ? KPROBE_IPMODIFY_OPS : KPROBE_FTRACE_OPS);

const enabledCount = (txn: Txn, entry: KprobeEntry): number =>
  entry.hasPostHandler ? txn.ftrace.kprobeIpmodifyEnabled : txn.ftrace.kprobePlainEnabled;

function addEnabled(txn: Txn, entry: KprobeEntry, change: 1 | -1): void {
  const count = enabledCount(txn, entry) + change;
  txn.ftrace = entry.hasPostHandler
    ? { ...txn.ftrace, kprobeIpmodifyEnabled: count }
    : { ...txn.ftrace, kprobePlainEnabled: count };
}

function armFtrace(txn: Txn, entry: KprobeEntry): Fault | undefined {
  const ops = sharedOps(entry);
  const isRegistered = enabledCount(txn, entry) !== 0;
  if (isRegistered && entry.hasPostHandler && txn.world.strictness === 'safe') {
    const fault = prepareDirectForIpmodify(txn, [entry.addr], FTRACE_PEER_NOT_ASKED);
    if (fault !== undefined) return fault;
  }
  const filtered = setFilterIp(txn, ops, entry.addr, 'add');
  if (filtered !== undefined) return filtered;
  if (!isRegistered) {
    const fault = registerFtraceFunction(txn, ops);
    if (fault !== undefined) {
      setFilterIp(txn, ops, entry.addr, 'remove');
      return fault;
    }
  }
  addEnabled(txn, entry, 1);
  return undefined;
}

export function disarmFtrace(txn: Txn, entry: KprobeEntry): Fault | undefined {
  // kprobe_ftrace_disabled: ftrace died and took the probes' calls as they were.
  if (txn.ftrace.isDisabled) return undefined;
  const ops = sharedOps(entry);
  const isLast = enabledCount(txn, entry) === 1;
  if (isLast) {
    const fault = unregisterFtraceFunction(txn, ops);
    if (fault !== undefined) return fault;
  }
  addEnabled(txn, entry, -1);
  const fault = setFilterIp(txn, ops, entry.addr, 'remove');
  if (!isLast && entry.hasPostHandler && txn.world.strictness === 'safe')
    cleanupDirectAfterIpmodify(txn, txn.op(ops), [entry.addr]);
  return fault;
}

/** __arm_kprobe. A jump that would go over it is undone at once; its own comes when the optimizer runs. */
export function armKprobe(txn: Txn, addr: number): Fault | undefined {
  const entry = entryAt(txn, addr);
  if (entry.isFtrace) return armFtrace(txn, entry);
  const covering = getOptimizedKprobe(txn, addr);
  if (covering !== undefined) unoptimizeKprobe(txn, covering.addr, true);
  archArm(txn, addr);
  optimizeKprobe(txn, addr);
  return undefined;
}

/**
 * __disarm_kprobe. A jump stays until the optimizer has run. Linux means to queue a probe again that this one was in the way of, and does not: it
 * still counts as armed when that is asked (recorded on 6.1: opt:10post-then-7).
 */
export function disarmKprobe(txn: Txn, addr: number): Fault | undefined {
  const entry = entryAt(txn, addr);
  if (entry.isFtrace) return disarmFtrace(txn, entry);
  unoptimizeKprobe(txn, addr, false);
  if (!isQueued(txn, addr)) archDisarm(txn, addr);
  return undefined;
}
