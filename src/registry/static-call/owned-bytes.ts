import type { OwnedBytes } from '../attribution.ts';
import type { Txn } from '../txn.ts';
import { bootFunction, staticCallOf } from './calls.ts';
import { callOwners } from './owners.ts';
import { callInsn, callPlaces } from './transform.ts';
import { callFunction } from './update.ts';

/** Trampolines and sites of calls that do not have the function of boot. */
export function* staticCallBytes(txn: Txn): Generator<OwnedBytes> {
  for (const key of txn.staticCalls.keys()) {
    const call = staticCallOf(txn.world, key);
    if (call === undefined) continue;
    const boot = bootFunction(txn.world, call);
    const func = callFunction(txn, call);
    if (func === boot) continue;
    const owners = callOwners(txn, key);
    for (const place of callPlaces(txn.world, call))
      yield { at: place.at, bytes: callInsn(txn.world, place, func, boot).bytes, what: 'static_call', owners };
  }
}
