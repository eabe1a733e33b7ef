/**
 * Remedies that were tried on a copy of the kernel before they are offered: what is listed worked, in the situation in which the request
 * was refused. The work is bounded, and a remedy that there was no room to try is not listed.
 */
import type { Fault, Holder } from '../base/index.ts';
import type { Attachment, AttachRequest, Decision } from '../registry/index.ts';
import type { PlanKernel } from './kernel.ts';
import { after, type Situation, stepOf, type TrialIdentity, tryAttach, tryDetach } from './plan-situation.ts';
import { type Change, otherChoices } from './remedy-choices.ts';
import type { Caller } from './service.ts';

/** Requests and holders with more sites than this are not tried: a trial costs as much as the attach itself. */
const SITES_MAX = 100;
/** Decisions for one refusal. */
const DECISIONS_MAX = 100;
/** Holders that are tried one by one; and how many may have to go together. */
const ALONE_MAX = 4;
const TOGETHER_MAX = 8;

/** Decisions that trials may still make; shared by all refusals of a plan. */
export interface TrialBudget {
  left: number;
}

export const trialBudget = (decisions = DECISIONS_MAX): TrialBudget => ({ left: decisions });

export interface RefusedRequest {
  readonly request: AttachRequest;
  readonly fault: Fault;
  readonly situation: Situation;
  readonly identity: TrialIdentity;
}

type Move = (situation: Situation) => Decision;

interface Trials {
  readonly kernel: PlanKernel;
  readonly caller: Caller;
  readonly refused: RefusedRequest;
  readonly budget: TrialBudget;
}

function works(trials: Trials, moves: readonly Move[]): boolean {
  let { situation } = trials.refused;
  for (const move of moves) {
    if (trials.budget.left <= 0) return false;
    trials.budget.left -= 1;
    const decision = move(situation);
    if (decision.outcome.kind === 'refused') return false;
    situation = after(situation, decision);
  }
  return true;
}

const attaching =
  ({ kernel, refused }: Trials, request = refused.request): Move =>
  (situation) =>
    tryAttach(kernel, situation, request, refused.identity);

const detaching =
  ({ kernel }: Trials, { id }: Attachment): Move =>
  (situation) =>
    tryDetach(kernel, situation, id);

const requestOf = ({ kind, target, options }: Attachment): AttachRequest => ({ kind, target, options });

const attachingAgain =
  ({ kernel, refused }: Trials, attachment: Attachment, request = requestOf(attachment)): Move =>
  (situation) =>
    tryAttach(kernel, situation, request, {
      id: attachment.id,
      client: attachment.client,
      tenant: attachment.tenant,
      ahead: refused.identity.ahead + 1,
    });

function isTooLarge({ kernel, refused }: Trials, holders: readonly Attachment[]): boolean {
  if (holders.some((holder) => holder.sites.length > SITES_MAX)) return true;
  const { target } = refused.request;
  if (typeof target === 'string') return false;
  if (!('pattern' in target)) return target.length > SITES_MAX;
  let count = 0;
  for (const _ of kernel.world.image.symbols.matching(target.pattern)) {
    count += 1;
    if (count > SITES_MAX) return true;
  }
  return false;
}

const nameOf = ({ id, kind, client }: Attachment): string => {
  const step = stepOf(id);
  return `${step === undefined ? id : `step ${step}`} (${kind} of ${client})`;
};

function namesOf(holders: readonly Attachment[]): string {
  const names = holders.map(nameOf);
  const last = names.pop() ?? '';
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`;
}

/** Somebody else's attachment is for them to detach. */
function who({ caller }: Trials, holders: readonly Attachment[], own: string, foreign: string): string {
  const others = caller.isAdmin ? [] : holders.filter((holder) => holder.tenant !== caller.tenant);
  return others.length === 0
    ? own
    : `Ask ${[...new Set(others.map(({ client }) => client))].join(' and ')} to ${foreign}`;
}

/** Single holders for which it works; if there are none, a set of them from which none can be left out. */
function enough(
  holders: readonly Attachment[],
  isEnough: (some: readonly Attachment[]) => boolean,
): readonly (readonly Attachment[])[] {
  const alone = holders.slice(0, ALONE_MAX).flatMap((holder) => (isEnough([holder]) ? [[holder]] : []));
  if (alone.length > 0 || holders.length < 2 || holders.length > TOGETHER_MAX || !isEnough(holders)) return alone;
  let together = holders;
  for (const holder of holders) {
    const fewer = together.filter((each) => each !== holder);
    if (fewer.length > 1 && isEnough(fewer)) together = fewer;
  }
  return [together];
}

function ownChanges(trials: Trials): readonly string[] {
  return otherChoices(trials.refused.request)
    .filter(({ request }) => works(trials, [attaching(trials, request)]))
    .map(({ how }) => `Attach ${how}; then this is granted.`);
}

/** First this one, then those that are there, unchanged. */
function otherOrder(trials: Trials, holders: readonly Attachment[]): readonly string[] {
  const found = enough(holders, (some) =>
    works(trials, [
      ...some.map((holder) => detaching(trials, holder)),
      attaching(trials),
      ...some.map((holder) => attachingAgain(trials, holder)),
    ]),
  );
  return found.map((some) => {
    if (some.every(({ id }) => stepOf(id) !== undefined))
      return `Put this step before ${namesOf(some)}; then all of them are granted.`;
    const own = `Detach ${namesOf(some)}`;
    const start = who(trials, some, own, `detach ${namesOf(some)}`);
    return `${start}, attach this, and attach what was there again; in this order all are granted.`;
  });
}

/** Those that are there attached afresh, with another choice of options only where that is what helps; then this one. */
function changedHolders(trials: Trials, holders: readonly Attachment[]): readonly string[] {
  const worksAfresh = (holder: Attachment, request?: AttachRequest): boolean =>
    works(trials, [detaching(trials, holder), attachingAgain(trials, holder, request), attaching(trials)]);
  return holders.slice(0, ALONE_MAX).flatMap((holder) => {
    const name = nameOf(holder);
    const isPlanned = stepOf(holder.id) !== undefined;
    if (worksAfresh(holder)) {
      const later = isPlanned ? `Put ${name} right before this step` : `Detach ${name} and attach it again before this`;
      const asked = `detach ${name} and attach it again before this`;
      return [`${who(trials, [holder], later, asked)}; then both are granted.`];
    }
    return otherChoices(requestOf(holder))
      .filter((change: Change) => change.isOtherKind !== true && worksAfresh(holder, change.request))
      .map(({ how }) => {
        const what = `${name}${isPlanned ? '' : ' again'} ${how}`;
        return `${who(trials, [holder], `Attach ${what}`, `attach ${what}`)}; then both are granted.`;
      });
  });
}

function withoutHolders(trials: Trials, holders: readonly Attachment[]): readonly string[] {
  const found = enough(holders, (some) =>
    works(trials, [...some.map((holder) => detaching(trials, holder)), attaching(trials)]),
  );
  return found.map((some) => {
    const isPlanned = some.every(({ id }) => stepOf(id) !== undefined);
    const verb = isPlanned ? 'leave out' : 'detach';
    const own = `${isPlanned ? 'Leave out' : 'Detach'} ${namesOf(some)}`;
    return `${who(trials, some, own, `${verb} ${namesOf(some)}`)}; then this is granted.`;
  });
}

/**
 * The fault with remedies that were tried. A refusal that nobody else causes keeps its rule's general advice: there is nothing to try.
 */
export function withTriedRemedies(
  kernel: PlanKernel,
  caller: Caller,
  refused: RefusedRequest,
  budget: TrialBudget = trialBudget(),
): Fault {
  const { fault, situation } = refused;
  const named: readonly Holder[] = fault.holders ?? [];
  if (named.length === 0) return fault;
  const holders = named.flatMap(({ attachment }) => situation.state.attachments.get(attachment) ?? []);
  const own = { left: Math.min(budget.left, DECISIONS_MAX) };
  const trials: Trials = { kernel, caller, refused, budget: own };
  if (holders.length === 0 || isTooLarge(trials, holders)) return { ...fault, remedies: [] };
  const before = own.left;
  const remedies = [
    ...ownChanges(trials),
    ...withoutHolders(trials, holders),
    ...changedHolders(trials, holders),
    ...otherOrder(trials, holders),
  ];
  budget.left -= before - own.left;
  return { ...fault, remedies: [...new Set(remedies)] };
}
