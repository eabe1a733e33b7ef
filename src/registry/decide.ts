/**
 * The decision: (state, request, kernel) → verdict, next state and the ops that lead there. Pure: no I/O, no clock, nothing outside is
 * changed. Attaching and planning call the same functions; only attaching carries the ops out.
 */
import {
  err,
  type Fault,
  invariant,
  ok,
  type ReadableText,
  type Result,
  type Steps,
  stepsOf,
  straight,
  visitAll,
} from '../base/index.ts';
import { parseProgramPlace } from './bpf/programs.ts';
import { bpfOpsFunc } from './bpf/trampoline.ts';
import { type DecisionOf, guarded, guardedSteps, refused } from './decision.ts';
import { DIRECT_MEETS_IPMODIFY } from './kernels/ftrace-facts.ts';
import { REC } from './model/flags.ts';
import type { AttachIdentity, AttachRequest, RequestTarget } from './model/request.ts';
import type { Attachment, KernelState } from './model/state.ts';
import { OWNERS } from './owners/index.ts';
import { checkOptions, type Options } from './owners/options.ts';
import type { Owner, ParsedTarget } from './owners/owner.ts';
import { parsePlace } from './place.ts';
import { programFor } from './program/load.ts';
import { ATTACHMENT_NOT_SWITCHABLE, ATTACHMENT_UNKNOWN, SITE_QUARANTINED, TARGET_INVALID } from './rules/request.ts';
import { refuse } from './rules/rule.ts';
import { siteOwners } from './site-view.ts';
import { Txn } from './txn.ts';
import type { World } from './world.ts';

export type Verdict = 'attached' | 'chained' | 'shared' | 'detached' | 'changed';

/** Of a request about an attachment. */
export type Decision = DecisionOf<Granted>;

interface Granted {
  readonly verdict: Verdict;
  readonly attachment: Attachment;
}

export const PLACES_MAX = 100_000;

export function parseTarget(owner: Owner, target: RequestTarget): Result<ParsedTarget> {
  const invalid = (detail: string, index?: number): Result<never> =>
    err(refuse(TARGET_INVALID, { detail, ...(index === undefined ? {} : { index }) }));
  if (typeof target === 'string') {
    const program = owner.takes.includes('program') ? parseProgramPlace(target) : undefined;
    if (program !== undefined) return ok({ kind: 'program', program, text: target });
    const place = parsePlace(target);
    return place === undefined
      ? invalid(`${JSON.stringify(target)} is not a place.`)
      : ok({ kind: 'place', place, text: target });
  }
  if ('pattern' in target) {
    if (!owner.takes.includes('pattern')) return invalid(`${owner.kind} takes one place, not a pattern.`);
    return ok({ kind: 'pattern', pattern: target.pattern });
  }
  if (!owner.takes.includes('places')) return invalid(`${owner.kind} takes one place, not a list.`);
  if (target.length === 0 || target.length > PLACES_MAX)
    return invalid(`A list of places has 1 to ${PLACES_MAX} elements, not ${target.length}.`);
  const places = [];
  for (const [index, text] of target.entries()) {
    const place = parsePlace(text);
    if (place === undefined) return invalid(`${JSON.stringify(text)} is not a place.`, index);
    places.push({ place, text });
  }
  return ok({ kind: 'places', places });
}

function quarantineFault(txn: Txn): Fault | undefined {
  for (const site of txn.touched) {
    const found = txn.quarantined.get(site);
    if (found === undefined) continue;
    const place = txn.place(site);
    return refuse(SITE_QUARANTINED, { detail: `${place} is quarantined.`, place, ...found });
  }
  return undefined;
}

/** attached alone, chained with others, or shared: an IPMODIFY and a direct owner made room for each other. */
function* verdictOf(txn: Txn, attachment: Attachment): Steps<Verdict> {
  const mayShare = txn.world.fact(DIRECT_MEETS_IPMODIFY) !== 'never';
  let [isChained, isShared] = [false, false];
  yield* visitAll(attachment.sites, attachment.sites.length, 'looking at owners', (site) => {
    if (!isChained) {
      const owners = siteOwners(txn, site);
      isChained = owners.length > 1 || (owners.length === 1 && owners[0] !== attachment.id);
    }
    isShared ||=
      isChained && mayShare && txn.directFunctions.has(site) && (txn.record(site).flags & REC.IPMODIFY) !== 0;
  });
  if (isShared) return 'shared';
  return isChained ? 'chained' : 'attached';
}

export interface AttachInput {
  readonly request: AttachRequest;
  readonly identity: AttachIdentity;
  readonly sequence: number;
}

export const decideAttach = (world: World, state: KernelState, text: ReadableText, input: AttachInput): Decision =>
  straight(decideAttachSteps(world, state, text, input));

/** The same in steps; the sequence is asked for behind the last of them. */
export function* decideAttachSteps(
  world: World,
  state: KernelState,
  text: ReadableText,
  input: AttachInput,
): Steps<Decision> {
  const { request } = input;
  const owner = OWNERS.get(request.kind);
  invariant(owner !== undefined, () => `no owner of the kind ${request.kind}`);
  const options = checkOptions(owner.kind, owner.options, request.options ?? {});
  if (!options.ok) return refused(state, options.fault);
  const target = parseTarget(owner, request.target);
  if (!target.ok) return refused(state, target.fault);
  const attaching = { owner, options: options.value, target: target.value };
  return yield* guardedSteps(world, state, attachTo(new Txn(world, state, text, bpfOpsFunc), state, input, attaching));
}

interface Attaching {
  readonly owner: Owner;
  readonly options: Options;
  readonly target: ParsedTarget;
}

function* attachTo(
  txn: Txn,
  state: KernelState,
  input: AttachInput,
  { owner, options, target }: Attaching,
): Steps<Decision> {
  const { request, identity } = input;
  const program = programFor(txn, request, identity);
  if (!program.ok) return refused(state, program.fault);
  const completed = program.value === undefined ? ok(options) : (owner.withProgram?.(options) ?? ok(options));
  if (!completed.ok) return refused(state, completed.fault);
  const asked = { target, options: completed.value, identity, program: program.value };
  const attached = yield* stepsOf(owner.attach(txn, asked));
  if (!attached.ok) return refused(state, attached.fault);
  const quarantined = quarantineFault(txn);
  if (quarantined !== undefined) return refused(state, quarantined);
  const draft: Attachment = {
    id: identity.id,
    kind: owner.kind,
    client: identity.client,
    tenant: identity.tenant,
    sinceMs: identity.nowMs,
    target: request.target,
    options: completed.value,
    isEnabled: true,
    sites: [...attached.value.sites].sort((a, b) => a - b),
    sequence: 0,
    owned: attached.value.owned,
  };
  txn.attachments.set(draft.id, draft);
  const verdict = yield* verdictOf(txn, draft);
  yield* txn.reviseSteps();
  const attachment = { ...draft, sequence: input.sequence };
  txn.attachments.set(attachment.id, attachment);
  return {
    outcome: { kind: 'granted', verdict, attachment },
    state: txn.finish(),
    ops: txn.ops,
    warnings: txn.warnings,
    replaced: txn.replaced,
  };
}

function known(state: KernelState, id: string): Result<{ readonly attachment: Attachment; readonly owner: Owner }> {
  const attachment = state.attachments.get(id);
  const owner = attachment === undefined ? undefined : OWNERS.get(attachment.kind);
  return attachment === undefined || owner === undefined
    ? err(refuse(ATTACHMENT_UNKNOWN, { detail: `${id} is not an attachment.` }))
    : ok({ attachment, owner });
}

export const decideDetach = (world: World, state: KernelState, text: ReadableText, id: string): Decision =>
  straight(decideDetachSteps(world, state, text, id));

/** The same in steps. */
export function* decideDetachSteps(world: World, state: KernelState, text: ReadableText, id: string): Steps<Decision> {
  const found = known(state, id);
  if (!found.ok) return refused(state, found.fault);
  const txn = new Txn(world, state, text, bpfOpsFunc);
  return yield* guardedSteps(world, state, detachFrom(txn, state, found.value));
}

function* detachFrom(
  txn: Txn,
  state: KernelState,
  { attachment, owner }: { readonly attachment: Attachment; readonly owner: Owner },
): Steps<Decision> {
  const fault = yield* stepsOf(owner.detach(txn, attachment));
  if (fault !== undefined) return refused(state, fault);
  for (const site of attachment.sites) txn.touched.add(site);
  txn.attachments.delete(attachment.id);
  yield* txn.reviseSteps();
  return {
    outcome: { kind: 'granted', verdict: 'detached', attachment },
    state: txn.finish(),
    ops: txn.ops,
    warnings: txn.warnings,
    replaced: txn.replaced,
  };
}

export function decideSetEnabled(
  world: World,
  state: KernelState,
  text: ReadableText,
  id: string,
  enabled: boolean,
): Decision {
  const found = known(state, id);
  if (!found.ok) return refused(state, found.fault);
  const { attachment, owner } = found.value;
  const { setEnabled } = owner;
  if (setEnabled === undefined)
    return refused(
      state,
      refuse(ATTACHMENT_NOT_SWITCHABLE, { detail: `${attachment.kind} cannot be disabled without detaching.` }),
    );
  const changed: Attachment = { ...attachment, isEnabled: enabled };
  if (attachment.isEnabled === enabled && owner.refusesSameState !== true)
    return { outcome: { kind: 'granted', verdict: 'changed', attachment }, state, ops: [], warnings: [], replaced: [] };
  return guarded<Granted>(world, state, () => {
    const txn = new Txn(world, state, text, bpfOpsFunc);
    const fault = setEnabled(txn, attachment, enabled);
    if (fault !== undefined) return refused(state, fault);
    txn.attachments.set(id, changed);
    return {
      outcome: { kind: 'granted', verdict: 'changed', attachment: changed },
      state: txn.finish(),
      ops: txn.ops,
      warnings: txn.warnings,
      replaced: txn.replaced,
    };
  });
}

/** For reading a state through the functions that work on a Txn. */
export const readOnly = (world: World, state: KernelState, text: ReadableText): Txn =>
  new Txn(world, state, text, bpfOpsFunc, true);
