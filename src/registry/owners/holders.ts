import type { Holder } from '../../base/index.ts';
import { GRAPH_OPS, hasFlag, opsAt } from '../ftrace/ops-list.ts';
import { OPS } from '../model/flags.ts';
import type { FtraceOps } from '../model/state.ts';
import type { Txn } from '../txn.ts';

/** Attachments of the kprobes at an address, newest first. */
export function kprobeAttachments(txn: Txn, addr: number): readonly string[] {
  const ids: string[] = [];
  for (const child of txn.kprobeTable.get(addr)?.children ?? []) if (child.kind === 'probe') ids.push(child.id);
  return ids;
}

/** Attachments behind one ops at a site, in the order in which they run. */
export function opsAttachments(txn: Txn, ops: FtraceOps, site: number): readonly string[] {
  if (ops.attachment !== undefined) return [ops.attachment];
  if (ops.bpfFunction !== undefined) {
    const links = txn.trampolines.get(ops.bpfFunction)?.links;
    return links === undefined
      ? []
      : [...links.fentry, ...links.fmod_ret, ...links.fexit].map((link) => link.attachment);
  }
  if (ops.id === GRAPH_OPS)
    return txn.graphTracers.filter((tracer) => tracer.sites.has(site)).map((tracer) => tracer.attachment);
  if (ops.livepatchedFunction !== undefined)
    return (txn.livepatches.get(ops.livepatchedFunction)?.stack ?? []).map((each) => each.attachment);
  return hasFlag(ops, OPS.STUB) ? [] : kprobeAttachments(txn, site);
}

export function ipmodifyHolders(txn: Txn, site: number): readonly Holder[] {
  const ops = opsAt(txn, site).filter((each) => hasFlag(each, OPS.IPMODIFY));
  const ids = ops.flatMap((each) => {
    const attachments = opsAttachments(txn, each, site);
    const withPost = attachments.filter((id) => txn.kprobes.get(id)?.hasPostHandler === true);
    return withPost.length > 0 ? withPost : attachments;
  });
  return txn.holders(ids);
}

export function directHolders(txn: Txn, site: number): readonly Holder[] {
  const ops = opsAt(txn, site).filter((each) => hasFlag(each, OPS.DIRECT));
  return txn.holders(ops.flatMap((each) => opsAttachments(txn, each, site)));
}
