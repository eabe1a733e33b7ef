import { attachmentsBehind } from '../static-holders.ts';
import type { Txn } from '../txn.ts';
import { keyOf, labelAt } from './keys.ts';
import { keyHolders } from './update.ts';

/** Attachments that hold a key up or down, oldest first. */
export const keyOwners = (txn: Txn, key: number): readonly string[] => attachmentsBehind(txn, keyHolders(txn, key));

/** Those of the static branch that starts at `at`; undefined when there is none. */
export function labelOwners(txn: Txn, at: number): readonly string[] | undefined {
  const label = labelAt(txn.world, at);
  return label === undefined ? undefined : keyOwners(txn, keyOf(txn.world, label));
}
