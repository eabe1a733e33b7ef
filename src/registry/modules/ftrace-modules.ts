/**
 * ftrace records come and go with modules.
 * Source: kernel/trace/ftrace.c ftrace_module_enable, referenced_filters, ftrace_release_mod, clear_mod_from_hashes, ftrace_free_mem (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import { callRel32, NOP5 } from '../../insn/index.ts';
import { forgetGraphSites, joinWholeGraph } from '../ftrace/graph-tracers.ts';
import { moveFilter } from '../ftrace/ops.ts';
import { GRAPH_OPS, hasFlag, indexSite } from '../ftrace/ops-list.ts';
import { addressNew, checkRecord } from '../ftrace/records.ts';
import { OPS, REC } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { TextChange } from '../text-op.ts';
import type { Txn } from '../txn.ts';
import { isWeakLeftover } from '../world.ts';

/** Registered ops that stand for this site, newest first: those that still have the address from an earlier module. */
function referencing(txn: Txn, site: number): readonly FtraceOps[] {
  return [...txn.opsTable.values()]
    .filter((ops) => ops.position !== undefined && ops.filter.has(site))
    .sort((a, b) => (b.position ?? 0) - (a.position ?? 0));
}

/** A direct call or an ops that changes the instruction pointer never takes a new module's site; Linux warns and leaves them out. */
function mayTake(txn: Txn, ops: FtraceOps, site: number): boolean {
  if (!hasFlag(ops, OPS.DIRECT) && !hasFlag(ops, OPS.IPMODIFY)) return true;
  txn.warnings.push(
    `An owner with a direct call or IPMODIFY still names ${txn.place(site)}, where another module was; Linux warns and passes it over.`,
  );
  return false;
}

function enableSite(txn: Txn, site: number): TextChange | undefined {
  let count = 0;
  let flags = 0;
  for (const ops of referencing(txn, site)) {
    if (!mayTake(txn, ops, site)) continue;
    count += 1;
    indexSite(txn, site, ops);
    if (hasFlag(ops, OPS.SAVE_REGS)) flags |= REC.REGS;
    flags = count === 1 && ops.trampoline !== undefined ? flags | REC.TRAMP : flags & ~REC.TRAMP;
  }
  if (count === 0) return undefined;
  txn.setRecord(site, { flags, count });
  txn.touched.add(site);
  if (!txn.ftrace.isEnabled) return undefined;
  const checked = checkRecord(txn.record(site));
  if (checked.update === 'ignore') return undefined;
  const bytes = callRel32(site, addressNew(txn, site));
  txn.setRecord(site, checked.after);
  return { at: site, expected: NOP5, bytes };
}

/** ftrace_module_enable: sites of the new module that an ops stands for are switched on. */
export function enableModuleSites(txn: Txn, sites: Iterable<number>): void {
  if (txn.ftrace.isDisabled || txn.ftrace.registered === 0) return;
  const changes: TextChange[] = [];
  for (const site of sites) {
    if (isWeakLeftover(txn.world, site)) continue;
    const change = enableSite(txn, site);
    if (change !== undefined) changes.push(change);
  }
  if (changes.length > 0) txn.emit({ kind: 'batch', changes, what: 'ftrace_module_enable' });
}

/** Filters of tracers lose the module's sites (their entries' address becomes 0); those of other ops keep them. */
const CLEARED = -1;

function clearFromTracers(txn: Txn, sites: ReadonlySet<number>): void {
  forgetGraphSites(txn, sites);
  for (const ops of [...txn.opsTable.values()]) {
    const { attachment } = ops;
    const tracer = attachment === undefined ? undefined : txn.attachments.get(attachment)?.options['tracer'];
    if ((tracer === undefined && ops.id !== GRAPH_OPS) || !ops.filter.some((site) => sites.has(site))) continue;
    txn.setOp({ ...ops, filter: ops.filter.filter((site) => !sites.has(site)).add(CLEARED) });
  }
}

/** ftrace_release_mod, ftrace_free_mem: the records go, whoever was attached; nobody writes their text any more. */
export function releaseSites(txn: Txn, sites: readonly number[], isUnload: boolean): void {
  for (const site of sites) {
    if (!txn.records.has(site) && !txn.opsBySite.has(site)) continue;
    txn.records.delete(site);
    txn.touched.add(site);
  }
  if (!isUnload) return;
  const gone = new Set(sites);
  clearFromTracers(txn, gone);
  for (const site of sites) txn.opsBySite.delete(site);
}

/**
 * Tracers that trace everything have no filter in Linux, so that a new module's sites are theirs at once. Here they are those that were asked for with
 * the pattern `*`.
 */
export function joinWholeTracers(txn: Txn, sites: readonly number[]): void {
  const traced = sites.filter((site) => !isWeakLeftover(txn.world, site));
  if (txn.ftrace.isDisabled || traced.length === 0) return;
  for (const attachment of [...txn.attachments.values()]) {
    const { id, target, options } = attachment;
    const isWhole = typeof target === 'object' && 'pattern' in target && target.pattern === '*';
    if (!isWhole || attachment.kind !== 'ftrace' || options['tracer'] === undefined) continue;
    const fault =
      options['tracer'] === 'function_graph'
        ? joinWholeGraph(txn, id, traced)
        : moveFilter(txn, id, txn.op(id).filter.union(traced));
    invariant(fault === undefined, 'a tracer that claims nothing takes every site');
    txn.attachments.set(id, { ...attachment, sites: [...attachment.sites, ...traced] });
  }
}
