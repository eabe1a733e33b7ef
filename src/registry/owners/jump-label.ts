import { err, type Fault, invariant, ok, type Result } from '../../base/index.ts';
import { keyOwners } from '../jump-label/owners.ts';
import { targetKey } from '../jump-label/target.ts';
import { holdKey, keyCount, keyHolders, keySites, releaseKey } from '../jump-label/update.ts';
import type { StaticKeyHolder } from '../model/state.ts';
import { parsePlace } from '../place.ts';
import { JUMP_LABEL_KEY_HELD } from '../rules/jump-label.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import type { Attached, Owner } from './owner.ts';

const isHeldUp = (holder: StaticKeyHolder): boolean => holder.kind === 'tracepoint' || holder.enables;

/** static_key_disable meets users that are not its own. */
function disableMeetsOthers(txn: Txn, key: number, text: string): Fault | undefined {
  const holders = keyHolders(txn, key);
  const count = keyCount(txn.world, key, holders);
  if (count === 0 || !holders.some(isHeldUp)) return undefined;
  if (txn.world.strictness === 'safe')
    return refuse(JUMP_LABEL_KEY_HELD, {
      detail: `${text} has ${count} user${count === 1 ? '' : 's'}; switching it off would take it from them.`,
      place: text,
      holders: txn.holders(keyOwners(txn, key)),
    });
  txn.warnings.push(
    count === 1
      ? `Linux takes ${text} away from its only user, who is not told (${JUMP_LABEL_KEY_HELD.id}).`
      : `Linux warns that ${text} has ${count} users and leaves it on (${JUMP_LABEL_KEY_HELD.id}).`,
  );
  return undefined;
}

/**
 * A static key held up (static_key_slow_inc) or down (static_key_disable); whoever leaves is as if it had never come.
 * Source: kernel/jump_label.c (6.12; 6.1 alike).
 */
export const jumpLabelOwner: Owner = {
  kind: 'jump_label',
  options: { enabled: { type: 'boolean' } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const { target, options, identity } = request;
    invariant(target.kind === 'place', 'a jump label has one key');
    const key = targetKey(txn.world, target.place, target.text);
    if (!key.ok) return key;
    const enables = options['enabled'] !== false;
    const fault = enables ? undefined : disableMeetsOthers(txn, key.value, target.text);
    if (fault !== undefined) return err(fault);
    holdKey(txn, key.value, { kind: 'attachment', attachment: identity.id, enables });
    return ok({ sites: keySites(txn.world, key.value), owned: [] });
  },
  detach(txn, attachment) {
    const text = attachment.target as string;
    const place = parsePlace(text);
    const key = place === undefined ? undefined : targetKey(txn.world, place, text);
    invariant(key?.ok === true, () => `${attachment.id} holds no static key`);
    releaseKey(txn, key.value, (holder) => holder.kind === 'attachment' && holder.attachment === attachment.id);
    return undefined;
  },
};
