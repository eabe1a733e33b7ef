import type { PlanKernel } from './kernel.ts';
import { plan, planInOrder } from './plan.ts';
import { stepOf } from './plan-situation.ts';
import { toProblem } from './problem.ts';
import type { Caller, ConflictAnswer, PlanAnswer, PlanStep } from './service.ts';
import { type Conflict, smallestConflict } from './solve-conflict.ts';
import { groupSteps } from './solve-groups.ts';
import {
  blamed,
  findOrder,
  isDamaging,
  isSpent,
  makeSearch,
  type Refusal,
  type Search,
  takeAll,
} from './solve-search.ts';

/** Nothing else is served meanwhile: a decision takes a fraction of a millisecond, more where a large trampoline is generated. */
const SEARCH_WORK = 4_000;
const WORK_PER_STEP = 8;
/** Plans of more steps are not solved. */
const STEPS_MAX = 5_000;
/** A larger group is only ordered by what refusals teach. */
const GROUP_MAX = 64;
const ROUNDS_MAX = 20;

type Solved =
  | { readonly kind: 'order'; readonly order: readonly number[] }
  | { readonly kind: 'conflict'; readonly conflict: Conflict }
  | { readonly kind: 'unknown' };

/** Steps that may make room for others: their own grants are nobody's obstacle to ask about. */
function helpersOf(search: Search, group: readonly number[]): readonly number[] {
  return group.filter((index) => {
    const step = search.steps[index] as PlanStep;
    return 'detach' in step || step.attach.options?.['replace'] === true;
  });
}

/** Classes that must come before others: class → those that come later. */
class Precedence {
  readonly #before = new Map<number, Set<number>>();

  /** False when it was known. */
  add(first: number, then: number): boolean {
    const known = this.#before.get(then) ?? new Set();
    if (known.has(first)) return false;
    this.#before.set(then, known.add(first));
    return true;
  }

  /** The steps with every precedence kept and otherwise as they are; undefined when precedences contradict one another. */
  sort(search: Search, group: readonly number[]): readonly number[] | undefined {
    const waiting = new Map<number, number>();
    for (const index of group) {
      const kind = search.classes[index] as number;
      waiting.set(kind, (waiting.get(kind) ?? 0) + 1);
    }
    let left = [...group];
    const order: number[] = [];
    while (left.length > 0) {
      const later: number[] = [];
      for (const index of left) {
        const kind = search.classes[index] as number;
        const first = this.#before.get(kind) ?? new Set<number>();
        if ([...first].some((each) => each !== kind && (waiting.get(each) ?? 0) > 0)) {
          later.push(index);
          continue;
        }
        order.push(index);
        waiting.set(kind, (waiting.get(kind) as number) - 1);
      }
      if (later.length === left.length) return undefined;
      left = later;
    }
    return order;
  }
}

type Learnt =
  | { readonly kind: 'more' }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'conflict'; readonly conflict: Conflict };

/** Tries a refused step and one that it was refused for, alone, in both orders. */
function learnPair(search: Search, precedence: Precedence, holder: number, step: number, isAlone: boolean): Learnt {
  const grants = (order: readonly number[]): boolean => takeAll(search, order).refusals.length === 0;
  const [first, then] = [search.classes[step] as number, search.classes[holder] as number];
  if (grants([step, holder])) return { kind: precedence.add(first, then) ? 'more' : 'nothing' };
  if (!isAlone || grants([holder, step])) return { kind: 'nothing' };
  return { kind: 'conflict', conflict: { steps: [holder, step].sort((a, b) => a - b), isSmallest: true } };
}

function learn(
  search: Search,
  precedence: Precedence,
  refusals: readonly Refusal[],
  helpers: readonly number[],
): Learnt {
  let hasMore = false;
  const tried = new Set<string>();
  for (const refusal of refusals) {
    for (const { attachment } of refusal.fault.holders ?? []) {
      const detach = search.detaches.get(attachment);
      if (detach === undefined) continue;
      const [first, then] = [search.classes[detach] as number, search.classes[refusal.index] as number];
      if (precedence.add(first, then)) hasMore = true;
    }
    for (const holder of blamed(refusal)) {
      const pair = `${search.classes[holder]} ${search.classes[refusal.index]}`;
      if (tried.has(pair) || search.detaches.has(`plan:${holder}`)) continue;
      tried.add(pair);
      if (isSpent(search)) return { kind: 'nothing' };
      const learnt = learnPair(search, precedence, holder, refusal.index, helpers.length === 0);
      if (learnt.kind === 'conflict') return learnt;
      if (learnt.kind === 'more') hasMore = true;
    }
  }
  return { kind: hasMore ? 'more' : 'nothing' };
}

/** A detach of another step of the plan comes after it. */
function ownDetaches(search: Search, group: readonly number[]): Precedence {
  const precedence = new Precedence();
  for (const index of group) {
    const detach = search.detaches.get(`plan:${index}`);
    if (detach !== undefined) precedence.add(index, detach);
  }
  return precedence;
}

/** The one rule that counts: whoever comes last is one too many, so no order need be tried. */
const COUNTED = 'bpf.trampoline.too-many-programs';

/** Programs that are one more than fit; certain once all but one of them are granted, whichever that one is. */
function tooMany(search: Search, steps: readonly number[]): Conflict | undefined {
  const kinds = new Map(steps.map((index) => [search.classes[index], index]));
  for (const left of kinds.values())
    if (
      takeAll(
        search,
        steps.filter((index) => index !== left),
      ).refusals.length > 0
    )
      return undefined;
  return { steps, isSmallest: kinds.size === 1 };
}

/** A refused step with all that it was refused for: no pair of them need be in each other's way (the 39th program of a trampoline). */
function blamedTogether(
  search: Search,
  group: readonly number[],
  refusals: readonly Refusal[],
  helpers: readonly number[],
): Conflict | undefined {
  for (const refusal of refusals) {
    const steps = [...new Set([...blamed(refusal), refusal.index])].filter((index) => group.includes(index));
    if (steps.length < 3 || steps.length > GROUP_MAX || helpers.includes(refusal.index)) continue;
    const sorted = steps.sort((a, b) => a - b);
    if (refusal.fault.rule === COUNTED) {
      const conflict = tooMany(search, sorted);
      if (conflict !== undefined) return conflict;
    }
    if (findOrder(search, sorted, helpers).kind === 'none') return smallestConflict(search, sorted, helpers);
    if (isSpent(search)) return undefined;
  }
  return undefined;
}

function solveGroup(search: Search, group: readonly number[]): Solved {
  const helpers = helpersOf(search, group);
  const precedence = ownDetaches(search, group);
  let last: readonly Refusal[] = [];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const order = precedence.sort(search, group);
    if (order === undefined || search.work + order.length > search.workMax) break;
    const { refusals } = takeAll(search, order);
    if (refusals.length === 0) return { kind: 'order', order };
    last = refusals;
    const learnt = learn(search, precedence, refusals, helpers);
    if (learnt.kind === 'conflict') return learnt;
    if (learnt.kind === 'nothing') break;
  }
  const together = blamedTogether(search, group, last, helpers);
  if (together !== undefined) return { kind: 'conflict', conflict: together };
  if (group.length > GROUP_MAX || isSpent(search)) return { kind: 'unknown' };
  const found = findOrder(search, group);
  if (found.kind === 'order') return found;
  if (found.kind === 'unknown') return found;
  const conflict = smallestConflict(search, group, helpers);
  return conflict === undefined ? { kind: 'unknown' } : { kind: 'conflict', conflict };
}

/** Orders of groups that share nothing, as near to the order of the request as they allow. */
function merged(orders: readonly (readonly number[])[]): readonly number[] {
  const heads = orders.map(() => 0);
  const byIndex = new Map(orders.flatMap((order, group) => order.map((index) => [index, group] as const)));
  const total = byIndex.size;
  const found: number[] = [];
  const isTaken = new Set<number>();
  const takeUpTo = (index: number): void => {
    const group = byIndex.get(index) as number;
    const order = orders[group] as readonly number[];
    while (!isTaken.has(index)) {
      const next = order[heads[group] as number] as number;
      heads[group] = (heads[group] as number) + 1;
      isTaken.add(next);
      found.push(next);
    }
  };
  for (let index = 0; found.length < total; index++) takeUpTo(index);
  return found;
}

/** A detach of what neither is there nor comes with the plan, or of the same attachment twice: no order helps. */
function impossibleDetach(search: Search): Conflict | undefined {
  const firstOf = new Map<string, number>();
  for (const [index, step] of search.steps.entries()) {
    if (!('detach' in step)) continue;
    const planned = search.steps[stepOf(step.detach) ?? -1];
    const isThere = search.start.state.attachments.has(step.detach);
    if (!isThere && (planned === undefined || 'detach' in planned)) return { steps: [index], isSmallest: true };
    const first = firstOf.get(step.detach);
    if (first !== undefined) return { steps: [first, index], isSmallest: true };
    firstOf.set(step.detach, index);
  }
  return undefined;
}

function solveGroups(search: Search): Solved {
  const impossible = impossibleDetach(search);
  if (impossible !== undefined) return { kind: 'conflict', conflict: impossible };
  const { groups, refusedFirst } = groupSteps(search);
  const refused = new Set(refusedFirst);
  const hopeless = groups.find(
    (group) => group.some((index) => refused.has(index)) && helpersOf(search, group).length === 0,
  );
  const first = hopeless?.find((index) => refused.has(index));
  if (first !== undefined) return { kind: 'conflict', conflict: { steps: [first], isSmallest: true } };
  const solved = groups.map((group) => solveGroup(search, group));
  const conflicts = solved.flatMap((each) => (each.kind === 'conflict' ? [each.conflict] : []));
  const [smallest] = [...conflicts].sort((a, b) => a.steps.length - b.steps.length);
  const isSettled = solved.every((each) => each.kind !== 'unknown');
  if (smallest !== undefined) {
    const isSmallest = smallest.isSmallest && (smallest.steps.length <= 2 || isSettled);
    return { kind: 'conflict', conflict: { ...smallest, isSmallest } };
  }
  if (!isSettled) return { kind: 'unknown' };
  const order = merged(solved.flatMap((each) => (each.kind === 'order' ? [each.order] : [])));
  if (takeAll(search, order).refusals.length === 0) return { kind: 'order', order };
  // The groups had something in common after all.
  return solveGroup(search, [...search.steps.keys()]);
}

function conflictAnswer(search: Search, conflict: Conflict): ConflictAnswer | undefined {
  const { kernel, caller, steps } = search;
  const [last] = planInOrder(kernel, caller, steps, conflict.steps).steps.filter((step) => step.problem !== undefined);
  const fault =
    last?.problem ?? takeAll(search, conflict.steps).refusals.map((each) => toProblem(kernel.world, each.fault))[0];
  return fault === undefined ? undefined : { steps: conflict.steps, isSmallest: conflict.isSmallest, why: fault };
}

const NOTES = {
  order: 'All steps are granted in this order.',
  conflict: 'No order grants the steps of the conflict together.',
  unknown: 'Given up: neither an order nor a conflict was found within the bound. Plan fewer steps at a time.',
  damaging:
    'All steps are granted in this order, with the damage that the warnings name; no order without it was found.',
  tooMany: `Not tried: the order of more than ${STEPS_MAX} steps is not searched for.`,
} as const;

/** The plan in an order that grants everything; in the order of the request, with the conflict, when there is none. */
export function solvePlan(kernel: PlanKernel, caller: Caller, steps: readonly PlanStep[]): PlanAnswer {
  const asked = plan(kernel, caller, steps);
  const indexes = [...steps.keys()];
  const isWarned = ({ steps: answers }: PlanAnswer): boolean => answers.some(({ warnings }) => isDamaging(warnings));
  const about = (decisions: number, note: string, isComplete = true) => ({ decisions, isComplete, note });
  const inItsOrder = { ...asked, order: indexes };
  if (asked.wouldSucceed && !isWarned(asked)) return { ...inItsOrder, search: about(steps.length, NOTES.order) };
  if (steps.length > STEPS_MAX) return { ...asked, search: about(steps.length, NOTES.tooMany, false) };
  let decisions = steps.length;
  const search = (isCareful: boolean): { readonly search: Search; readonly solved: Solved } => {
    const made = makeSearch(kernel, caller, steps, SEARCH_WORK + WORK_PER_STEP * steps.length, isCareful);
    const solved = solveGroups(made);
    decisions += made.decisions;
    return { search: made, solved };
  };
  const inOrder = (order: readonly number[]): PlanAnswer => ({ ...planInOrder(kernel, caller, steps, order), order });
  let answer: PlanAnswer = inItsOrder;
  if (!asked.wouldSucceed) {
    const found = search(false);
    if (found.solved.kind !== 'order') {
      const conflict =
        found.solved.kind === 'conflict' ? conflictAnswer(found.search, found.solved.conflict) : undefined;
      const outcome = about(decisions, NOTES[found.solved.kind], conflict !== undefined);
      return { ...asked, ...(conflict === undefined ? {} : { conflict }), search: outcome };
    }
    answer = inOrder(found.solved.order);
    if (!isWarned(answer)) return { ...answer, search: about(decisions, NOTES.order) };
  }
  // Linux grants it and is damaged by it: an order without that is worth another search.
  const { solved } = search(true);
  if (solved.kind === 'order') return { ...inOrder(solved.order), search: about(decisions, NOTES.order) };
  return { ...answer, search: about(decisions, NOTES.damaging) };
}
