/**
 * Static branches and static calls of a new module follow keys that are not as boot left them.
 * Source: kernel/jump_label.c jump_label_add_module; kernel/static_call_inline.c static_call_add_module (6.12; 6.1 alike).
 */
import type { ModuleImage } from '../../image/index.ts';
import { bootEnabled, keyEntries, labelBytes } from '../jump-label/keys.ts';
import { keyEnabled } from '../jump-label/update.ts';
import { bootFunction, staticCallOf } from '../static-call/calls.ts';
import { callInsn, callPlaces } from '../static-call/transform.ts';
import { callFunction } from '../static-call/update.ts';
import type { TextChange } from '../text-op.ts';
import type { Txn } from '../txn.ts';

function labelChanges(txn: Txn, isOwn: (at: number) => boolean): readonly TextChange[] {
  const { world } = txn;
  const changes: TextChange[] = [];
  for (const key of txn.staticKeys.keys()) {
    const isEnabled = keyEnabled(txn, key);
    if (isEnabled === bootEnabled(world, key)) continue;
    for (const entry of keyEntries(world, key) ?? []) {
      const at = world.image.jumpLabels.code[entry] as number;
      if (!isOwn(at)) continue;
      changes.push({
        at,
        expected: labelBytes(world, entry, !isEnabled),
        bytes: labelBytes(world, entry, isEnabled),
      });
    }
  }
  return changes.sort((a, b) => a.at - b.at);
}

export function patchSites(txn: Txn, module: ModuleImage): void {
  const isOwn = (at: number): boolean => module.pristine.contains(at, 1);
  const changes = labelChanges(txn, isOwn);
  if (changes.length > 0) txn.emit({ kind: 'batch', changes, what: 'jump_label_add_module' });
  for (const key of txn.staticCalls.keys()) {
    const call = staticCallOf(txn.world, key);
    if (call === undefined) continue;
    const boot = bootFunction(txn.world, call);
    const now = callFunction(txn, call);
    if (now === boot) continue;
    for (const place of callPlaces(txn.world, call)) {
      if (!isOwn(place.at)) continue;
      const expected = callInsn(txn.world, place, boot, boot).bytes;
      const { bytes, emulate } = callInsn(txn.world, place, now, boot);
      txn.poke({ at: place.at, expected, bytes }, 'static_call_add_module', emulate);
    }
  }
}
