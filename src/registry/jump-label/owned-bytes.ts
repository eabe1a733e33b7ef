import type { OwnedBytes } from '../attribution.ts';
import type { Txn } from '../txn.ts';
import { bootEnabled, keyEntries, labelBytes } from './keys.ts';
import { keyOwners } from './owners.ts';
import { keyEnabled } from './update.ts';

/** The branches of keys that are not as boot left them. */
export function* jumpLabelBytes(txn: Txn): Generator<OwnedBytes> {
  const { world } = txn;
  for (const key of txn.staticKeys.keys()) {
    const isEnabled = keyEnabled(txn, key);
    if (isEnabled === bootEnabled(world, key)) continue;
    const owners = keyOwners(txn, key);
    for (const entry of keyEntries(world, key) ?? [])
      yield {
        at: world.image.jumpLabels.code[entry] as number,
        bytes: labelBytes(world, entry, isEnabled),
        what: 'jump_label',
        owners,
      };
  }
}
