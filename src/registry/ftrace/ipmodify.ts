/**
 * Who may change the instruction pointer where a direct call is, and the other way round.
 * Source: kernel/trace/ftrace.c __ftrace_hash_update_ipmodify, prepare_direct_functions_for_ipmodify,
 * cleanup_direct_functions_after_ipmodify (6.12).
 */
import type { Fault } from '../../base/index.ts';
import { DIRECT_MEETS_IPMODIFY } from '../kernels/ftrace-facts.ts';
import { OPS, REC } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import { directHolders, ipmodifyHolders } from '../owners/holders.ts';
import {
  FTRACE_DIRECT_CLAIMS_IPMODIFY,
  FTRACE_DIRECT_NOT_SHARING,
  FTRACE_IPMODIFY_EMPTY_FILTER,
  FTRACE_IPMODIFY_EXCLUSIVE,
} from '../rules/ftrace.ts';
import { type Rule, refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { isVanished } from '../world.ts';
import { hasFlag, isEnabled, opsAt } from './ops-list.ts';

const hasRecordFlag = (record: { readonly flags: number }, flag: number): boolean => (record.flags & flag) !== 0;

/** Before 6.0: the site's IPMODIFY owner is its direct call. */
function isDirectClaim(txn: Txn, site: number): boolean {
  const direct = directOps(txn, site);
  return direct !== undefined && hasFlag(direct, OPS.IPMODIFY);
}

function enterSite(txn: Txn, ops: FtraceOps, site: number): Fault | undefined {
  const record = txn.record(site);
  const isIpmodify = hasFlag(ops, OPS.IPMODIFY);
  if (!hasRecordFlag(record, REC.IPMODIFY)) {
    if (isIpmodify) txn.setRecord(site, { ...record, flags: record.flags | REC.IPMODIFY });
    return undefined;
  }
  if (isIpmodify && (hasFlag(ops, OPS.DIRECT) || isDirectClaim(txn, site)))
    return refuse(FTRACE_DIRECT_CLAIMS_IPMODIFY, {
      detail: `${txn.place(site)} already has an owner that may change the instruction pointer, and before 6.0 a direct call counts as one.`,
      place: txn.place(site),
      holders: ipmodifyHolders(txn, site),
    });
  if (isIpmodify)
    return refuse(FTRACE_IPMODIFY_EXCLUSIVE, {
      detail: `${txn.place(site)} already has an owner that may change the instruction pointer (IPMODIFY), and a site takes one.`,
      place: txn.place(site),
      holders: ipmodifyHolders(txn, site),
    });
  switch (ops.opsFunc) {
    case 'accepts':
      return undefined;
    case 'bpf':
      return txn.bpfOpsFunc(txn, ops, 'ENABLE_SHARE_IPMODIFY_SELF');
    case 'none':
      return refuse(FTRACE_DIRECT_NOT_SHARING, {
        detail: `${txn.place(site)} has an owner that may change the instruction pointer (IPMODIFY), and this direct call has no ops_func to agree to share with it.`,
        place: txn.place(site),
        holders: ipmodifyHolders(txn, site),
      });
  }
}

/**
 * Claims or releases IPMODIFY for the sites that differ between two filters, and asks a direct owner that enters an IPMODIFY site.
 * `isTargetUpdate`: the direct owner stays and only its target changes, so it is asked at every site.
 */
export function updateIpmodify(
  txn: Txn,
  ops: FtraceOps,
  oldFilter: FtraceOps['filter'] | undefined,
  newFilter: FtraceOps['filter'] | undefined,
  isTargetUpdate = false,
): Fault | undefined {
  if (!isEnabled(ops)) return undefined;
  const isIpmodify = hasFlag(ops, OPS.IPMODIFY);
  if (!isIpmodify && !hasFlag(ops, OPS.DIRECT)) return undefined;
  if (oldFilter === undefined || newFilter === undefined)
    return refuse(FTRACE_IPMODIFY_EMPTY_FILTER, {
      detail: 'The filter is empty, which means every function; an IPMODIFY or direct ops has to name its functions.',
      holders: [],
    });
  if (isIpmodify) {
    for (const site of oldFilter) {
      if (newFilter.has(site) || isVanished(txn.world, site)) continue;
      const record = txn.record(site);
      txn.setRecord(site, { ...record, flags: record.flags & ~REC.IPMODIFY });
    }
  }
  const entering = isTargetUpdate ? newFilter.toArray() : newFilter.filter((site) => !oldFilter.has(site)).toArray();
  for (const site of entering.sort((a, b) => a - b)) {
    if (isVanished(txn.world, site)) continue;
    const fault = enterSite(txn, ops, site);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function directOps(txn: Txn, site: number): FtraceOps | undefined {
  return opsAt(txn, site).find((each) => hasFlag(each, OPS.DIRECT));
}

/** Asks the direct owners of these sites to make room for an IPMODIFY owner. `rule` names the refusal. */
export function prepareDirectForIpmodify(
  txn: Txn,
  sites: Iterable<number>,
  rule: Rule = FTRACE_DIRECT_NOT_SHARING,
): Fault | undefined {
  if (txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'never') return undefined;
  for (const site of sites) {
    const direct = directOps(txn, site);
    if (direct === undefined || direct.opsFunc === 'accepts') continue;
    if (direct.opsFunc === 'none')
      return refuse(rule, {
        detail: `${txn.place(site)} has a direct call whose owner has no ops_func, so it cannot share the function with an owner that may change the instruction pointer (IPMODIFY).`,
        place: txn.place(site),
        holders: directHolders(txn, site),
      });
    const fault = txn.bpfOpsFunc(txn, direct, 'ENABLE_SHARE_IPMODIFY_PEER');
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Tells the direct owners that the IPMODIFY owner is gone; what they answer is ignored. */
export function cleanupDirectAfterIpmodify(txn: Txn, ops: FtraceOps, sites: Iterable<number> = ops.filter): void {
  if (!hasFlag(ops, OPS.IPMODIFY) || txn.world.fact(DIRECT_MEETS_IPMODIFY) === 'never') return;
  for (const site of sites) {
    const direct = directOps(txn, site);
    if (direct?.opsFunc === 'bpf') txn.bpfOpsFunc(txn, direct, 'DISABLE_SHARE_IPMODIFY_PEER');
  }
}
