import type { StaticCallUser } from '../model/state.ts';
import type { Txn } from '../txn.ts';
import { staticCallAt } from './calls.ts';
import { callUsers } from './update.ts';

function attachmentsOf(txn: Txn, user: StaticCallUser): readonly string[] {
  switch (user.kind) {
    case 'attachment':
      return [user.attachment];
    case 'tracepoint':
      return (txn.tracepoints.get(user.tracepoint)?.probes ?? []).map((probe) => probe.attachment);
    case 'graph-tracers':
      return txn.graphTracers.map((tracer) => tracer.attachment);
  }
}

/** Attachments that updated a static call; the first has its function called. */
export const callOwners = (txn: Txn, key: number): readonly string[] => [
  ...new Set(callUsers(txn, key).flatMap((user) => attachmentsOf(txn, user))),
];

/** Those of the site or trampoline that starts at `at`; undefined when there is none. */
export function callOwnersAt(txn: Txn, at: number): readonly string[] | undefined {
  const call = staticCallAt(txn.world, at);
  return call === undefined ? undefined : callOwners(txn, call.key);
}
