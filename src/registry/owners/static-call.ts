import { err, invariant, ok, type Result } from '../../base/index.ts';
import { generateCountingHandler } from '../../jit/index.ts';
import { dataObject, install, remove } from '../arena.ts';
import { locate, type Place, parsePlace } from '../place.ts';
import { refuse } from '../rules/rule.ts';
import { STATIC_CALL_TARGET, STATIC_CALL_UNKNOWN } from '../rules/static-call.ts';
import { callNameOf, type StaticCall, staticCallAt, staticCallNamed, staticCallOf } from '../static-call/calls.ts';
import { callOwners } from '../static-call/owners.ts';
import { callPlaces } from '../static-call/transform.ts';
import { leaveCall, updateCall } from '../static-call/update.ts';
import type { Txn } from '../txn.ts';
import type { World } from '../world.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const CODE_SIZE = 64;

/** A static call by its name, with or without a prefix, by its key, or by a site or trampoline of it. */
function targetCall(world: World, place: Place): StaticCall | undefined {
  const at = locate(world, place);
  const found = at === undefined ? undefined : (staticCallAt(world, at) ?? staticCallOf(world, at));
  if (found !== undefined) return found;
  return place.kind === 'symbol' && place.delta === 0 ? staticCallNamed(world, callNameOf(place.name)) : undefined;
}

/** What the call shall have: a place in text, NULL, or a function of our own that counts. */
function wantedFunction(
  txn: Txn,
  request: OwnerRequest,
): Result<{ readonly to: number | null; readonly owned: readonly number[] }> {
  const wanted = request.options['to'];
  if (wanted === 'NULL') return ok({ to: null, owned: [] });
  if (typeof wanted === 'string') {
    const place = parsePlace(wanted);
    const to = place === undefined ? undefined : locate(txn.world, place);
    return to === undefined || !txn.text.contains(to, 1)
      ? err(refuse(STATIC_CALL_TARGET, { detail: `options.to ${JSON.stringify(wanted)} is not a place in text.` }))
      : ok({ to, owned: [] });
  }
  const counter = dataObject(txn, 8);
  const code = { size: CODE_SIZE, what: 'static_call_function', attachment: request.identity.id, counter };
  const to = install(txn, code, (at) => generateCountingHandler({ at, counter, cpu: txn.world.cpu }));
  return ok({ to, owned: [to] });
}

/** static_call_update. Source: kernel/static_call_inline.c (6.12; 6.1 alike). */
export const staticCallOwner: Owner = {
  kind: 'static_call',
  options: { to: { type: 'name' } },
  takes: [],
  attach(txn, request): Result<Attached> {
    const { target, identity } = request;
    invariant(target.kind === 'place', 'a static call has one key');
    const call = targetCall(txn.world, target.place);
    if (call === undefined)
      return err(refuse(STATIC_CALL_UNKNOWN, { detail: `${target.text} is no static call.`, place: target.text }));
    const wanted = wantedFunction(txn, request);
    if (!wanted.ok) return wanted;
    const others = callOwners(txn, call.key);
    if (others.length > 0)
      txn.warnings.push(
        `${others.join(', ')} updated ${call.name} too: the last update wins, and theirs are back once this one is detached.`,
      );
    updateCall(txn, call, { kind: 'attachment', attachment: identity.id, to: wanted.value.to });
    return ok({ sites: callPlaces(txn.world, call).map(({ at }) => at), owned: wanted.value.owned });
  },
  detach(txn, attachment) {
    const place = parsePlace(attachment.target as string);
    const call = place === undefined ? undefined : targetCall(txn.world, place);
    invariant(call !== undefined, () => `${attachment.id} updated no static call`);
    leaveCall(txn, call, { kind: 'attachment', attachment: attachment.id, to: null });
    // Linux leaves it to the caller to wait until nobody is in the old function.
    for (const at of attachment.owned) remove(txn, at, ['rcu_tasks']);
    return undefined;
  },
};
