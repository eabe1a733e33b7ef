/**
 * The function-graph tracer: every user is a subops of one ftrace_ops whose filter is the union of theirs, so a site counts it once.
 * Source: kernel/trace/fgraph.c register_ftrace_graph; kernel/trace/ftrace.c ftrace_startup_subops, ftrace_shutdown_subops (6.12).
 */
import { Set as ImmutableSet } from 'immutable';
import type { Fault } from '../../base/index.ts';
import { OPS } from '../model/flags.ts';
import type { Txn } from '../txn.ts';
import { symbolFunc } from './callers.ts';
import { newOps } from './new-ops.ts';
import { moveFilter, registerFtraceFunction, unregisterFtraceFunction } from './ops.ts';
import { GRAPH_OPS } from './ops-list.ts';

const union = (tracers: Txn['graphTracers']): ImmutableSet<number> =>
  tracers.reduce((all, tracer) => all.union(tracer.sites), ImmutableSet<number>());

export function joinGraphTracers(txn: Txn, attachment: string, sites: readonly number[]): Fault | undefined {
  const isFirst = txn.graphTracers.length === 0;
  txn.graphTracers = [...txn.graphTracers, { attachment, sites: ImmutableSet(sites) }];
  if (!isFirst) return moveFilter(txn, GRAPH_OPS, union(txn.graphTracers));
  // In core kernel data, so not DYNAMIC: alone, the shared callers call it directly.
  newOps(txn, GRAPH_OPS, {
    flags: OPS.INITIALIZED,
    func: symbolFunc(txn, 'ftrace_graph_func'),
    filter: ImmutableSet(sites),
  });
  return registerFtraceFunction(txn, GRAPH_OPS);
}

export function leaveGraphTracers(txn: Txn, attachment: string): Fault | undefined {
  txn.graphTracers = txn.graphTracers.filter((tracer) => tracer.attachment !== attachment);
  if (txn.graphTracers.length > 0) return moveFilter(txn, GRAPH_OPS, union(txn.graphTracers));
  const fault = unregisterFtraceFunction(txn, GRAPH_OPS);
  if (fault === undefined) txn.opsTable.delete(GRAPH_OPS);
  return fault;
}
