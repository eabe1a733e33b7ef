/**
 * The function-graph tracer: every user is a subops of one ftrace_ops whose filter is the union of theirs, so a site counts it once.
 * Source: kernel/trace/fgraph.c register_ftrace_graph; kernel/trace/ftrace.c ftrace_startup_subops, ftrace_shutdown_subops (6.12).
 */
import { Set as ImmutableSet } from 'immutable';
import type { Fault } from '../../base/index.ts';
import { GRAPH_CALLBACK, GRAPH_TRACERS_MAX } from '../kernels/ftrace-facts.ts';
import { OPS } from '../model/flags.ts';
import { FTRACE_GRAPH_BUSY } from '../rules/ftrace.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { symbolFunc } from './callers.ts';
import { updateGraphDirect } from './graph-direct.ts';
import { newOps } from './new-ops.ts';
import { moveFilter, registerFtraceFunction, unregisterFtraceFunction } from './ops.ts';
import { GRAPH_OPS } from './ops-list.ts';

const union = (tracers: Txn['graphTracers']): ImmutableSet<number> =>
  tracers.reduce((all, tracer) => all.union(tracer.sites), ImmutableSet<number>());

/** Why there is no place for one more; undefined when there is. */
function graphBusy(txn: Txn, isFprobe: boolean): Fault | undefined {
  const most = txn.world.fact(GRAPH_TRACERS_MAX);
  const fprobes = txn.graphTracers.some((tracer) => tracer.isFprobe);
  const tracers = txn.graphTracers.filter((tracer) => !tracer.isFprobe);
  const isCounted = !isFprobe || !fprobes;
  if (tracers.length + (fprobes ? 1 : 0) + (isCounted ? 1 : 0) <= most) return undefined;
  return refuse(FTRACE_GRAPH_BUSY, {
    ...(most === 1 ? {} : { errno: 'ENOSPC' }),
    detail: `The function-graph tracer of ${txn.world.kernel} takes ${most} users, and has them.`,
    holders: txn.holders(txn.graphTracers.map((tracer) => tracer.attachment)),
  });
}

export function joinGraphTracers(
  txn: Txn,
  attachment: string,
  sites: readonly number[],
  isFprobe = false,
): Fault | undefined {
  const busy = graphBusy(txn, isFprobe);
  if (busy !== undefined) return busy;
  const before = txn.graphTracers;
  const isFirst = before.length === 0;
  txn.graphTracers = [...before, { attachment, sites: ImmutableSet(sites), isFprobe }];
  updateGraphDirect(txn, before, txn.graphTracers);
  if (!isFirst) return moveFilter(txn, GRAPH_OPS, union(txn.graphTracers));
  // In core kernel data, so not DYNAMIC: alone, the shared callers call it directly.
  newOps(txn, GRAPH_OPS, {
    flags: OPS.INITIALIZED,
    func: symbolFunc(txn, txn.world.fact(GRAPH_CALLBACK)),
    filter: ImmutableSet(sites),
  });
  return registerFtraceFunction(txn, GRAPH_OPS);
}

function shrinkGraphOps(txn: Txn): Fault | undefined {
  if (txn.graphTracers.length > 0) return moveFilter(txn, GRAPH_OPS, union(txn.graphTracers));
  const fault = unregisterFtraceFunction(txn, GRAPH_OPS);
  if (fault === undefined) txn.opsTable.delete(GRAPH_OPS);
  return fault;
}

export function leaveGraphTracers(txn: Txn, attachment: string): Fault | undefined {
  const before = txn.graphTracers;
  txn.graphTracers = before.filter((tracer) => tracer.attachment !== attachment);
  const fault = shrinkGraphOps(txn);
  if (fault === undefined) updateGraphDirect(txn, before, txn.graphTracers);
  return fault;
}

/** A tracer of everything takes the sites of a module that has come. */
export function joinWholeGraph(txn: Txn, attachment: string, sites: readonly number[]): Fault | undefined {
  txn.graphTracers = txn.graphTracers.map((tracer) =>
    tracer.attachment === attachment ? { ...tracer, sites: tracer.sites.union(sites) } : tracer,
  );
  return moveFilter(txn, GRAPH_OPS, union(txn.graphTracers));
}

/** Sites of a module that has gone. */
export function forgetGraphSites(txn: Txn, sites: ReadonlySet<number>): void {
  txn.graphTracers = txn.graphTracers.map((tracer) => ({
    ...tracer,
    sites: tracer.sites.filter((site) => !sites.has(site)),
  }));
}
