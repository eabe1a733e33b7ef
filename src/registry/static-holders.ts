import type { StaticCallUser, StaticKeyHolder } from './model/state.ts';
import type { Txn } from './txn.ts';

/** Attachments behind those who hold static keys or updated a static call, each once, in the order of the holders. */
export function attachmentsBehind(txn: Txn, holders: readonly (StaticKeyHolder | StaticCallUser)[]): readonly string[] {
  const behind = (holder: StaticKeyHolder | StaticCallUser): readonly string[] => {
    switch (holder.kind) {
      case 'attachment':
        return [holder.attachment];
      case 'tracepoint':
        return (txn.tracepoints.get(holder.tracepoint)?.probes ?? []).map((probe) => probe.attachment);
      case 'graph-tracers':
        return txn.graphTracers.map((tracer) => tracer.attachment);
    }
  };
  return [...new Set(holders.flatMap(behind))];
}
