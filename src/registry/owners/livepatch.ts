import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { generateReplacement } from '../../jit/index.ts';
import { install, remove } from '../arena.ts';
import { ftraceUsable } from '../ftrace/ops.ts';
import { dropReplacement, pushReplacement } from '../livepatch/stack.ts';
import type { Attachment } from '../model/state.ts';
import { locate, type Place, parsePlace } from '../place.ts';
import { LIVEPATCH_EXISTS, LIVEPATCH_NO_SITE, LIVEPATCH_NOT_REENABLED } from '../rules/livepatch.ts';
import { OPTION_INVALID } from '../rules/request.ts';
import { refuse } from '../rules/rule.ts';
import type { Txn } from '../txn.ts';
import { ftraceLocation, isWeakLeftover } from '../world.ts';
import { flag } from './options.ts';
import type { Attached, Owner, OwnerRequest } from './owner.ts';

const CODE_SIZE = 64;
/** What a built-in replacement returns: told apart from what a kernel function would. */
const BUILT_IN_RESULT = 0x6b70;

interface Patched {
  readonly func: number;
  readonly site: number;
}

function patchedFunction(txn: Txn, place: Place, text: string, index: number | undefined): Result<Patched> {
  const { symbols } = txn.world.image;
  const refused = (detail: string): Result<never> =>
    err(refuse(LIVEPATCH_NO_SITE, { detail, place: text, ...(index === undefined ? {} : { index }) }));
  const func = locate(txn.world, place);
  if (func === undefined) return refused(`${text} is not in the kernel's symbol table.`);
  if (place.kind === 'symbol' && symbols.byName(place.name).length > 1)
    return refused(`${symbols.byName(place.name).length} symbols are called ${place.name}.`);
  const symbol = symbols.containing(func);
  if (symbol?.offset !== func) return refused(`${text} is not the start of a function.`);
  const site = ftraceLocation(txn.world, func);
  if (site === undefined || isWeakLeftover(txn.world, site)) return refused(`${text} has no ftrace site.`);
  return ok({ func, site });
}

function patchedFunctions(txn: Txn, target: OwnerRequest['target']): Result<readonly Patched[]> {
  const places = target.kind === 'places' ? target.places : target.kind === 'place' ? [target] : [];
  const found: Patched[] = [];
  for (const [index, { place, text }] of places.entries()) {
    const patched = patchedFunction(txn, place, text, target.kind === 'places' ? index : undefined);
    if (!patched.ok) return patched;
    found.push(patched.value);
  }
  return ok(found);
}

const patchName = (request: OwnerRequest): string =>
  typeof request.options['patch'] === 'string' ? request.options['patch'] : `livepatch_${request.identity.id}`;

/** Code that runs instead: the caller's place in text, or a function of our own that returns a constant. */
function replacementCode(
  txn: Txn,
  request: OwnerRequest,
): Result<{ readonly at: number; readonly owned: readonly number[] }> {
  const wanted = request.options['replacement'];
  if (typeof wanted === 'string') {
    const place = parsePlace(wanted);
    const at = place === undefined ? undefined : locate(txn.world, place);
    return at === undefined || !txn.text.contains(at, 1)
      ? err(refuse(OPTION_INVALID, { detail: `options.replacement ${JSON.stringify(wanted)} is not a place in text.` }))
      : ok({ at, owned: [] });
  }
  const at = install(
    txn,
    { size: CODE_SIZE, what: 'livepatch_replacement', attachment: request.identity.id },
    (where) => generateReplacement({ at: where, returns: BUILT_IN_RESULT, cpu: txn.world.cpu }),
  );
  return ok({ at, owned: [at] });
}

function leave(txn: Txn, attachment: Attachment): Fault | undefined {
  // A copy: dropping changes the map that is walked.
  for (const patched of [...txn.livepatches.values()]) {
    if (!patched.stack.some((each) => each.attachment === attachment.id)) continue;
    const fault = dropReplacement(txn, patched.func, attachment.id);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** A cumulative patch takes the place of every other one once its transition is over (klp_discard_replaced_stuff). */
function discardOthers(txn: Txn, id: string): Fault | undefined {
  const others = [...txn.attachments.values()].filter((each) => each.kind === 'livepatch' && each.id !== id);
  for (const other of others) {
    const fault = leave(txn, other);
    if (fault !== undefined) return fault;
    for (const at of other.owned) remove(txn, at, ['rcu_tasks']);
    txn.attachments.delete(other.id);
    txn.replaced.push(other);
    txn.warnings.push(`The patch replaced ${other.id} of ${other.client}, which is detached.`);
  }
  return undefined;
}

function loadedAs(txn: Txn, name: string): readonly string[] {
  const stacks = [...txn.livepatches.values()].flatMap((patched) => patched.stack);
  return stacks.filter((each) => each.patch === name).map((each) => each.attachment);
}

/** klp_enable_patch. Source: kernel/livepatch/core.c (6.12; 6.1 alike). */
export const livepatchOwner: Owner = {
  kind: 'livepatch',
  options: { patch: { type: 'name' }, replace: { type: 'boolean' }, replacement: { type: 'name' } },
  takes: ['places'],
  attach(txn, request): Result<Attached> {
    const unusable = ftraceUsable(txn, 'klp_ftrace_handler');
    if (unusable !== undefined) return err(unusable);
    const patch = patchName(request);
    const loaded = loadedAs(txn, patch);
    if (loaded.length > 0)
      return err(
        refuse(LIVEPATCH_EXISTS, { detail: `A patch called ${patch} is loaded.`, holders: txn.holders(loaded) }),
      );
    const functions = patchedFunctions(txn, request.target);
    if (!functions.ok) return functions;
    const code = replacementCode(txn, request);
    if (!code.ok) return code;
    const replacement = { attachment: request.identity.id, patch, at: code.value.at };
    for (const { func, site } of functions.value) {
      const fault = pushReplacement(txn, func, site, replacement);
      if (fault !== undefined) return err(fault);
    }
    const discarded = flag(request.options, 'replace') ? discardOthers(txn, request.identity.id) : undefined;
    if (discarded !== undefined) return err(discarded);
    return ok({ sites: functions.value.map((each) => each.site), owned: code.value.owned });
  },
  detach(txn, attachment) {
    const fault = leave(txn, attachment);
    if (fault !== undefined) return fault;
    for (const at of attachment.owned) remove(txn, at, ['rcu_tasks']);
    return undefined;
  },
  setEnabled(txn, attachment, enabled) {
    if (enabled) return refuse(LIVEPATCH_NOT_REENABLED, { detail: `${attachment.id} was disabled.` });
    return leave(txn, attachment);
  },
};
