import type { StaticKeyHolder } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { keyOf, labelAt } from './keys.ts';
import { keyHolders } from './update.ts';

function attachmentsOf(txn: Txn, holder: StaticKeyHolder): readonly string[] {
  switch (holder.kind) {
    case 'attachment':
      return [holder.attachment];
    case 'tracepoint':
      return (txn.tracepoints.get(holder.tracepoint)?.probes ?? []).map((probe) => probe.attachment);
    case 'graph-tracers':
      return txn.graphTracers.map((tracer) => tracer.attachment);
  }
}

/** Attachments that hold a key up or down, oldest first. */
export const keyOwners = (txn: Txn, key: number): readonly string[] => [
  ...new Set(keyHolders(txn, key).flatMap((holder) => attachmentsOf(txn, holder))),
];

/** Those of the static branch that starts at `at`; undefined when there is none. */
export function labelOwners(txn: Txn, at: number): readonly string[] | undefined {
  const label = labelAt(txn.world, at);
  return label === undefined ? undefined : keyOwners(txn, keyOf(txn.world, label));
}
