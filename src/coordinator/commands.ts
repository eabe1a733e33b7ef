/** What changes the kernel: attach, detach, enable. Each is one hold of text_mutex: decide, carry out, take the state, tell. */
import { err, type Fault, invariant, ok, type Result, type Steps, straight } from '../base/index.ts';
import { INT3_INSN_OPCODE } from '../insn/index.ts';
import {
  ATTACHMENT_UNKNOWN,
  type Attachment,
  type Decision,
  type AttachInput as DecisionInput,
  decideAttachSteps,
  decideDetachSteps,
  decideSetEnabled,
  type KernelState,
  originalBytes,
  refuse,
} from '../registry/index.ts';
import { announcePokes, PLACES_IN_EVENT } from './announce-pokes.ts';
import {
  areShown,
  costAnswer,
  type HexText,
  keptText,
  shownSites,
  siteAnswers,
  siteBytes,
  wireAddress,
} from './answers.ts';
import { attachmentAnswer } from './attachment-answer.ts';
import type { Command, CommandTurn } from './command.ts';
import { type Cost, granted, type Kernel } from './kernel.ts';
import { waitForUnoptimized } from './kprobe-optimizer.ts';
import { notPermitted } from './plan.ts';
import { present } from './plan-situation.ts';
import { overQuota } from './quotas.ts';
import { withTriedRemedies } from './remedies.ts';
import { SITE_REVISION } from './rules.ts';
import type {
  AttachAnswer,
  AttachmentView,
  AttachOptions,
  AttachRequest,
  Caller,
  DetachAnswer,
  DetachOptions,
} from './service.ts';
import { lease, namedSession, sessionGone } from './sessions.ts';
import { announceTransition } from './transition-events.ts';

function placesOf(kernel: Kernel, sites: readonly number[]): readonly string[] {
  const view = kernel.view();
  return sites.slice(0, PLACES_IN_EVENT).map((site) => view.place(site));
}

export function reject(
  kernel: Kernel,
  caller: Caller,
  what: Readonly<Record<string, unknown>>,
  fault: Fault,
): Result<never> {
  kernel.events.append('rejected', {
    client: caller.client,
    ...what,
    errno: fault.errno,
    rule: fault.rule,
    detail: fault.detail,
  });
  return err(fault);
}

/** Attachments that ended because `by` took their place. */
export function announceReplaced(kernel: Kernel, replaced: readonly Attachment[], by: Attachment): void {
  for (const other of replaced)
    kernel.events.append('detached', {
      attachment: other.id,
      kind: other.kind,
      client: other.client,
      by: by.client,
      replacedBy: by.id,
      siteCount: other.sites.length,
      places: placesOf(kernel, other.sites),
    });
}

/** Nothing, when the answer is not going to show them. */
const textBefore = (kernel: Kernel, sites: readonly number[], isAll: boolean): HexText =>
  keptText(kernel.text, areShown(sites.length, isAll) ? sites : []);

function movedOn(kernel: Kernel, attachment: Attachment, ifMatch: number | undefined): Fault | undefined {
  if (ifMatch === undefined) return undefined;
  const site = attachment.sites.find((each) => (kernel.state.revisions.get(each) ?? 0) !== ifMatch);
  if (site === undefined) return undefined;
  const place = kernel.view().place(site);
  const revision = kernel.state.revisions.get(site) ?? 0;
  return refuse(SITE_REVISION, { detail: `${place} is at revision ${revision}, not ${ifMatch}.`, place });
}

/** Remedies are tried once text_mutex is free again, on a copy of the kernel as it is then: others need not wait for them. */
export async function attach(
  kernel: Kernel,
  caller: Caller,
  request: AttachRequest,
  options: AttachOptions,
): Promise<Result<AttachAnswer>> {
  const session = namedSession(kernel, caller);
  if (!session.ok) return session;
  const input = { request, ...options, ...(session.value === undefined ? {} : { session: session.value }) };
  const done = await kernel.execute(ATTACH, caller, input);
  if (done.ok) return done;
  const identity = { id: 'trial', client: caller.client, tenant: caller.tenant, ahead: 0 };
  return err(withTriedRemedies(kernel, caller, { request, fault: done.fault, situation: present(kernel), identity }));
}

interface AttachInput {
  readonly request: AttachRequest;
  readonly ifMatch?: number;
  readonly allSites?: boolean;
  readonly session?: string;
  readonly pinned?: boolean;
}

export const ATTACH: Command<AttachInput, AttachAnswer> = {
  kind: 'attach',
  describe: ({ request }) => `attach ${request.kind}`,
  admit: (kernel, caller) => overQuota(kernel, caller),
  run: (turn, input) => straight(attachSteps(turn, input)),
  steps: attachSteps,
};

/** Rests while it decides, which leaves everything as it was; carries out, takes the state and tells at once. */
function* attachSteps(
  { kernel, held, caller, now }: CommandTurn,
  { request, ...options }: AttachInput,
): Steps<Result<AttachAnswer>> {
  const what = { kind: request.kind, target: request.target };
  const gone = sessionGone(kernel, options.session);
  if (gone !== undefined) return reject(kernel, caller, what, gone);
  const { client, tenant } = caller;
  const identity = { id: now.newId('att'), client, tenant, nowMs: now.ms };
  const input: DecisionInput = {
    request,
    identity,
    // While the decision rests there may be events that no command makes.
    get sequence() {
      return kernel.events.next;
    },
  };
  const state = kernel.state;
  const decision = yield* decideAttachSteps(kernel.world, kernel.state, kernel.text, input);
  stayed(kernel, state);
  const outcome = granted(decision);
  if (!outcome.ok) {
    kernel.apply(held, decision, { client: caller.client, kind: request.kind });
    return reject(kernel, caller, what, outcome.fault);
  }
  const { attachment, verdict } = outcome.value;
  const stale = movedOn(kernel, attachment, options.ifMatch);
  if (stale !== undefined) return reject(kernel, caller, what, stale);
  const isAll = options.allSites === true;
  const before = textBefore(kernel, attachment.sites, isAll);
  const { livepatching } = kernel.state;
  const cost = kernel.apply(held, decision, {
    client: caller.client,
    attachment: attachment.id,
    kind: attachment.kind,
  });
  lease(kernel, attachment.id, { session: options.session, isPinned: options.pinned === true });
  const { sequence } = kernel.events.append('attached', {
    attachment: attachment.id,
    kind: attachment.kind,
    client: attachment.client,
    verdict,
    siteCount: attachment.sites.length,
    places: placesOf(kernel, attachment.sites),
  });
  announceReplaced(kernel, decision.replaced, attachment);
  announcePokes(kernel, caller, attachment.id, decision.ops);
  announceTransition(kernel, livepatching);
  const { sites } = attachment;
  return ok({
    id: attachment.id,
    kind: attachment.kind,
    client: attachment.client,
    verdict: verdict === 'chained' || verdict === 'shared' ? verdict : 'attached',
    siteCount: sites.length,
    ...shownSites(sites.length, isAll, () => siteAnswers(kernel.view(), sites, before, kernel.text)),
    cost: costAnswer(cost, cost.textMutexHeldUs),
    sequence,
    warnings: decision.warnings,
  });
}

/** text_mutex was held all the while. */
function stayed(kernel: Kernel, before: KernelState): void {
  invariant(kernel.state === before, 'the state changed while text_mutex was held by another');
}

/** The attachment, when the caller may change it. */
export function own(kernel: Kernel, caller: Caller, id: string): Result<Attachment> {
  const attachment = kernel.state.attachments.get(id);
  if (attachment === undefined) return err(refuse(ATTACHMENT_UNKNOWN, { detail: `${id} is not an attachment.` }));
  const fault = notPermitted(caller, attachment);
  return fault === undefined ? ok(attachment) : err(fault);
}

/** A program that went with its last owner left nothing to restore. */
function restoredSites(kernel: Kernel, sites: readonly number[]): readonly string[] {
  const view = kernel.view();
  const isPristine = (at: number): boolean => {
    const original = originalBytes(view, at, siteBytes(kernel.text, at));
    const isCode = kernel.world.pristine.contains(at, 1) || original[0] !== INT3_INSN_OPCODE;
    return isCode && kernel.text.equals(at, original);
  };
  return sites.filter(isPristine).map((at) => wireAddress(kernel.world, at));
}

interface Detached {
  readonly decision: Decision;
  readonly cost: Cost;
  readonly sequence: number;
}

/** Detaches one and tells. */
export const detachOne = (turn: Omit<CommandTurn, 'now'>, id: string): Result<Detached> =>
  straight(detachOneSteps(turn, id));

function* detachOneSteps({ kernel, held, caller }: Omit<CommandTurn, 'now'>, id: string): Steps<Result<Detached>> {
  const attachment = own(kernel, caller, id);
  if (!attachment.ok) return reject(kernel, caller, { detach: id }, attachment.fault);
  const { state } = kernel;
  const decision = yield* decideDetachSteps(kernel.world, state, kernel.text, id);
  stayed(kernel, state);
  const outcome = granted(decision);
  const { kind, client, sites } = attachment.value;
  const cost = kernel.apply(held, decision, { client: caller.client, attachment: id, kind });
  if (!outcome.ok) return reject(kernel, caller, { detach: id }, outcome.fault);
  const { sequence } = kernel.events.append('detached', {
    attachment: id,
    kind,
    client,
    by: caller.client,
    siteCount: sites.length,
    places: placesOf(kernel, sites),
  });
  announcePokes(kernel, caller, id, decision.ops);
  return ok({ decision, cost, sequence });
}

export async function detach(
  kernel: Kernel,
  caller: Caller,
  id: string,
  { untilUnoptimized = false, ...options }: DetachOptions = {},
): Promise<Result<DetachAnswer>> {
  const sites = kernel.state.attachments.get(id)?.sites ?? [];
  const answer = await kernel.execute(DETACH, caller, { id, ...options });
  if (!answer.ok || !untilUnoptimized || !(await waitForUnoptimized(kernel, sites))) return answer;
  return ok({ ...answer.value, restored: restoredSites(kernel, sites) });
}

export const DETACH: Command<DetachInput, DetachAnswer> = {
  kind: 'detach',
  describe: () => 'detach',
  run: (turn, input) => straight(detachSteps(turn, input)),
  steps: detachSteps,
};

interface DetachInput {
  readonly id: string;
  readonly allSites?: boolean;
}

function* detachSteps(turn: CommandTurn, { id, ...options }: DetachInput): Steps<Result<DetachAnswer>> {
  const { kernel } = turn;
  const sites = kernel.state.attachments.get(id)?.sites ?? [];
  const isAll = options.allSites === true;
  const before = textBefore(kernel, sites, isAll);
  const done = yield* detachOneSteps(turn, id);
  if (!done.ok) return done;
  const { decision, cost, sequence } = done.value;
  return ok({
    id,
    verdict: 'detached' as const,
    siteCount: sites.length,
    ...shownSites(sites.length, isAll, () => siteAnswers(kernel.view(), sites, before, kernel.text)),
    restored: restoredSites(kernel, sites),
    cost: costAnswer(cost, cost.textMutexHeldUs),
    sequence,
    warnings: decision.warnings,
  });
}

export const setEnabled = (
  kernel: Kernel,
  caller: Caller,
  id: string,
  enabled: boolean,
): Promise<Result<AttachmentView>> => kernel.execute(SET_ENABLED, caller, { id, enabled });

export const SET_ENABLED: Command<{ readonly id: string; readonly enabled: boolean }, AttachmentView> = {
  kind: 'set-enabled',
  describe: ({ enabled }) => (enabled ? 'enable' : 'disable'),
  run({ kernel, held, caller }, { id, enabled }) {
    const attachment = own(kernel, caller, id);
    if (!attachment.ok) return reject(kernel, caller, { enabled, attachment: id }, attachment.fault);
    const decision = decideSetEnabled(kernel.world, kernel.state, kernel.text, id, enabled);
    const outcome = granted(decision);
    const { livepatching } = kernel.state;
    kernel.apply(held, decision, { client: caller.client, attachment: id, kind: attachment.value.kind });
    if (!outcome.ok) return reject(kernel, caller, { enabled, attachment: id }, outcome.fault);
    kernel.events.append('attached', {
      attachment: id,
      kind: attachment.value.kind,
      client: attachment.value.client,
      by: caller.client,
      verdict: enabled ? 'enabled' : 'disabled',
      siteCount: attachment.value.sites.length,
      places: placesOf(kernel, attachment.value.sites),
    });
    announceReplaced(kernel, decision.replaced, outcome.value.attachment);
    announcePokes(kernel, caller, id, decision.ops);
    announceTransition(kernel, livepatching);
    return ok(attachmentAnswer(kernel, outcome.value.attachment, false));
  },
};
