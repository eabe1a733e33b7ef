/**
 * Switching static keys. Any number of owners may hold a key, as with static_key_slow_inc; an owner that wants it off acts as
 * static_key_disable does, which works on a key with one user and leaves one with more users as it is.
 * Source: kernel/jump_label.c static_key_slow_inc, static_key_slow_dec, static_key_disable, __jump_label_update (6.12; 6.1 alike).
 */
import { invariant } from '../../base/index.ts';
import type { StaticKeyHolder } from '../model/state.ts';
import type { TextChange } from '../text-op.ts';
import type { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import { bootEnabled, keyEntries, labelBytes } from './keys.ts';

const NOBODY: readonly StaticKeyHolder[] = [];

export const keyHolders = (txn: Txn, key: number): readonly StaticKeyHolder[] => txn.staticKeys.get(key) ?? NOBODY;

const enables = (holder: StaticKeyHolder): boolean => holder.kind === 'tracepoint' || holder.enables;

/** key->enabled: what boot left, then what each holder did, oldest first. */
export function keyCount(world: World, key: number, holders: readonly StaticKeyHolder[]): number {
  let count = bootEnabled(world, key) ? 1 : 0;
  for (const holder of holders) {
    if (enables(holder)) count += 1;
    else if (count === 1) count = 0;
  }
  return count;
}

export const keyEnabled = (txn: Txn, key: number): boolean => keyCount(txn.world, key, keyHolders(txn, key)) > 0;

/** Places of a key's branches, ascending. */
export const keySites = (world: World, key: number): readonly number[] =>
  (keyEntries(world, key) ?? []).map((entry) => world.image.jumpLabels.code[entry] as number);

/** jump_label_update: all branches of a key in one batch, each expected as the state before has it. */
function jumpLabelUpdate(txn: Txn, key: number, isEnabled: boolean): void {
  const changes: TextChange[] = (keyEntries(txn.world, key) ?? []).map((entry) => ({
    at: txn.world.image.jumpLabels.code[entry] as number,
    expected: labelBytes(txn.world, entry, !isEnabled),
    bytes: labelBytes(txn.world, entry, isEnabled),
  }));
  if (changes.length > 0) txn.emit({ kind: 'batch', changes, what: 'jump_label_update' });
}

function setHolders(txn: Txn, key: number, holders: readonly StaticKeyHolder[]): void {
  const wasEnabled = keyEnabled(txn, key);
  if (holders.length === 0) txn.staticKeys.delete(key);
  else txn.staticKeys.set(key, holders);
  for (const site of keySites(txn.world, key)) txn.touched.add(site);
  const isEnabled = keyEnabled(txn, key);
  if (isEnabled !== wasEnabled) jumpLabelUpdate(txn, key, isEnabled);
}

export function holdKey(txn: Txn, key: number, holder: StaticKeyHolder): void {
  setHolders(txn, key, [...keyHolders(txn, key), holder]);
}

/** The key goes to what it would be if this holder had never come. */
export function releaseKey(txn: Txn, key: number, isHolder: (holder: StaticKeyHolder) => boolean): void {
  const holders = keyHolders(txn, key);
  const rest = holders.filter((holder) => !isHolder(holder));
  invariant(rest.length === holders.length - 1, () => `static key ${txn.place(key)} is not held`);
  setHolders(txn, key, rest);
}
