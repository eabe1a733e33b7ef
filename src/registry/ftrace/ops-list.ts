import { invariant, type Steps, visitAll } from '../../base/index.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** The ops that all function-graph tracers share (kernel/trace/fgraph.c, 6.12). */
export const GRAPH_OPS = 'graph_ops';

const NONE: readonly FtraceOps[] = [];

/** Registered ops that filter on this site, newest first: what a walk of ftrace_ops_list finds. */
export function opsAt(txn: Txn, site: number): readonly FtraceOps[] {
  const ids = txn.opsBySite.get(site);
  return ids === undefined ? NONE : ids.map((id) => txn.op(id));
}

export function indexSite(txn: Txn, site: number, ops: FtraceOps): void {
  const ids = [...(txn.opsBySite.get(site) ?? []), ops.id];
  ids.sort((a, b) => (txn.op(b).position ?? 0) - (txn.op(a).position ?? 0));
  txn.opsBySite.set(site, ids);
}

function unindexSite(txn: Txn, site: number, id: string): void {
  const ids = (txn.opsBySite.get(site) ?? []).filter((other) => other !== id);
  if (ids.length === 0) txn.opsBySite.delete(site);
  else txn.opsBySite.set(site, ids);
}

/** add_ftrace_ops: to the head of the list. */
export function* addToList(txn: Txn, ops: FtraceOps): Steps<FtraceOps> {
  invariant(ops.position === undefined, () => `ftrace_ops ${ops.id} is registered already`);
  const added = txn.setOp({ ...ops, position: txn.ftrace.nextPosition });
  txn.ftrace = {
    ...txn.ftrace,
    registered: txn.ftrace.registered + 1,
    nextPosition: txn.ftrace.nextPosition + 1,
  };
  yield* visitAll(added.filter, added.filter.size, 'listing the ops', (site) => indexSite(txn, site, added));
  return added;
}

/** remove_ftrace_ops. */
export function* removeFromList(txn: Txn, ops: FtraceOps): Steps<FtraceOps> {
  invariant(ops.position !== undefined, () => `ftrace_ops ${ops.id} is not registered`);
  yield* visitAll(ops.filter, ops.filter.size, 'unlisting the ops', (site) => unindexSite(txn, site, ops.id));
  txn.ftrace = { ...txn.ftrace, registered: txn.ftrace.registered - 1 };
  return txn.setOp({ ...ops, position: undefined });
}

/** What another filter of an ops has that the one before had not, and the other way round. */
export interface MovingSites {
  readonly entering: FtraceOps['filter'];
  readonly leaving: FtraceOps['filter'];
}

/** Gives a (maybe registered) ops another filter and keeps the index in step. */
export function assignFilter(
  txn: Txn,
  ops: FtraceOps,
  filter: FtraceOps['filter'],
  { entering, leaving }: MovingSites,
): FtraceOps {
  const changed = txn.setOp({ ...ops, filter });
  if (ops.position !== undefined) {
    for (const site of leaving) unindexSite(txn, site, ops.id);
    for (const site of entering) indexSite(txn, site, changed);
  }
  return changed;
}

/** The only registered ops, when there is exactly one. */
export function soleOps(txn: Txn): FtraceOps | undefined {
  if (txn.ftrace.registered !== 1) return undefined;
  return txn.opsTable.find((ops) => ops.position !== undefined);
}

export const hasFlag = (ops: FtraceOps, flag: number): boolean => (ops.flags & flag) !== 0;

export const isEnabled = (ops: FtraceOps): boolean => hasFlag(ops, OPS.ENABLED);
