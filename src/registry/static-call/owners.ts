import { attachmentsBehind } from '../static-holders.ts';
import type { Txn } from '../txn.ts';
import { staticCallAt } from './calls.ts';
import { callUsers } from './update.ts';

/** Attachments that updated a static call; the first has its function called. */
export const callOwners = (txn: Txn, key: number): readonly string[] => attachmentsBehind(txn, callUsers(txn, key));

/** Those of the site or trampoline that starts at `at`; undefined when there is none. */
export function callOwnersAt(txn: Txn, at: number): readonly string[] | undefined {
  const call = staticCallAt(txn.world, at);
  return call === undefined ? undefined : callOwners(txn, call.key);
}
