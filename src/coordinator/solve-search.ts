/** Trying orders of steps on copies of the kernel, under a bound. */
import type { Fault } from '../base/index.ts';
import type { Decision, KernelState, TextOp } from '../registry/index.ts';
import type { PlanKernel } from './kernel.ts';
import { forbidden } from './plan.ts';
import { after, plannedId, present, type Situation, stepOf, tryStep } from './plan-situation.ts';
import type { Caller, PlanStep } from './service.ts';

/** One question for an order: what is to be ordered, from where, and how much may still be tried. */
export interface Search {
  readonly kernel: PlanKernel;
  readonly caller: Caller;
  readonly steps: readonly PlanStep[];
  readonly start: Situation;
  /** Steps that are alike: what holds for one holds for the others of its class. By index. */
  readonly classes: readonly number[];
  /** Detaches that some other step may need: existing attachments or planned ones by id → the step that detaches it. */
  readonly detaches: ReadonlyMap<string, number>;
  decisions: number;
  /** Decisions, weighed by the bytes that they would change. */
  work: number;
  readonly workMax: number;
  /** Orders in which Linux grants a step and is damaged by it do not count. */
  readonly isCareful: boolean;
}

/** What `linux` strictness says when Linux grants what it should not: bytes that stay, ftrace that dies at the next call. */
const DAMAGE = /stays patched|will not be restored|kills ftrace/;

export const isDamaging = (warnings: readonly string[]): boolean => warnings.some((warning) => DAMAGE.test(warning));

export const isSpent = (search: Search): boolean => search.work >= search.workMax;

/** Bytes that take as long to make as the rest of a decision does. */
const BYTES_OF_WORK = 512;

function workOf(ops: readonly TextOp[]): number {
  let bytes = 0;
  for (const op of ops) {
    if (op.kind === 'batch') bytes += op.changes.length * 5;
    else if (op.kind !== 'wait') bytes += op.kind === 'remove' ? op.expected.length : op.bytes.length;
  }
  return 1 + bytes / BYTES_OF_WORK;
}

/** Attach steps that some other step refers to are like no other. */
function classesOf(steps: readonly PlanStep[]): readonly number[] {
  const named = new Set(steps.flatMap((step) => ('detach' in step ? [step.detach] : [])));
  const numbers = new Map<string, number>();
  return steps.map((step, index) => {
    const key =
      'detach' in step || named.has(plannedId(index))
        ? `#${index}`
        : JSON.stringify([step.attach.kind, step.attach.target, step.attach.options ?? {}, step.attach.program ?? '']);
    const known = numbers.get(key);
    if (known === undefined) numbers.set(key, index);
    return known ?? index;
  });
}

export function makeSearch(
  kernel: PlanKernel,
  caller: Caller,
  steps: readonly PlanStep[],
  workMax: number,
  isCareful: boolean,
): Search {
  return {
    kernel,
    caller,
    steps,
    start: present(kernel),
    classes: classesOf(steps),
    detaches: new Map(steps.flatMap((step, index) => ('detach' in step ? [[step.detach, index] as const] : []))),
    decisions: 0,
    work: 0,
    workMax,
    isCareful,
  };
}

export type Taken =
  | { readonly kind: 'granted'; readonly decision: Decision; readonly situation: Situation }
  | { readonly kind: 'refused'; readonly fault: Fault };

/** Takes one step; a refused one leaves the situation as it was, also where Linux would go on damaged: such an order is none. */
export function take(search: Search, situation: Situation, index: number, position: number): Taken {
  const { kernel, caller, steps } = search;
  const step = steps[index] as PlanStep;
  search.decisions += 1;
  const fault = forbidden(caller, situation, step);
  if (fault !== undefined) return { kind: 'refused', fault };
  const decision = tryStep(kernel, caller, situation, step, { index, position });
  search.work += workOf(decision.ops);
  if (decision.outcome.kind === 'refused') return { kind: 'refused', fault: decision.outcome.fault };
  if (search.isCareful && isDamaging(decision.warnings))
    return { kind: 'refused', fault: { errno: 'EBUSY', rule: 'plan.damage', detail: decision.warnings.join(' ') } };
  return { kind: 'granted', decision, situation: after(situation, decision) };
}

export interface Refusal {
  readonly index: number;
  readonly fault: Fault;
}

/** Takes the steps in this order, leaving out those that are refused. */
export function takeAll(
  search: Search,
  order: readonly number[],
): { readonly refusals: readonly Refusal[]; readonly situation: Situation } {
  let situation = search.start;
  const refusals: Refusal[] = [];
  for (const [position, index] of order.entries()) {
    const taken = take(search, situation, index, position);
    if (taken.kind === 'granted') situation = taken.situation;
    else refusals.push({ index, fault: taken.fault });
  }
  return { refusals, situation };
}

/** Steps of this search among those that a refusal names as holders. */
export const blamed = ({ fault }: Refusal): readonly number[] =>
  (fault.holders ?? []).flatMap(({ attachment }) => stepOf(attachment) ?? []);

/** What can decide about later steps at these sites and in general: who is there, with which claims. Not: addresses, ids, order of arrival. */
function signature(state: KernelState, sites: readonly number[], functions: readonly number[]): string {
  const here = sites.map((site) => {
    const entry = state.kprobeTable.get(site);
    const ops = (state.opsBySite.get(site) ?? []).map((id) => {
      const found = state.ops.get(id);
      return [found?.flags, found?.opsFunc];
    });
    return [
      state.records.get(site) ?? null,
      entry === undefined
        ? null
        : [entry.isAggregate, entry.isDisabled, entry.hasPostHandler, entry.children.length, entry.first],
      ops.map(String).sort(),
    ];
  });
  const trampolines = functions.map((func) => {
    const found = state.trampolines.get(func);
    const links = found === undefined ? [] : Object.values(found.links).map((each) => each.length);
    return [found?.flags, found?.layout, links, state.livepatches.get(func)?.stack.map((each) => each.patch)];
  });
  const { isDisabled, kprobePlainEnabled, kprobeIpmodifyEnabled } = state.ftrace;
  return JSON.stringify([here, trampolines, isDisabled, kprobePlainEnabled, kprobeIpmodifyEnabled]);
}

export type Found =
  | { readonly kind: 'order'; readonly order: readonly number[] }
  | { readonly kind: 'none' }
  /** The bound was reached first. */
  | { readonly kind: 'unknown' };

interface Frame {
  readonly situation: Situation;
  readonly key: string;
  /** Steps still to be tried from here, the last one first. */
  readonly candidates: number[];
  /** The step that led here. */
  readonly step: number;
}

/** Sets of up to this size are settled by trying every order, without relying on what makes situations alike. */
const EXHAUSTIVE_MAX = 4;

/**
 * Looks for an order of `wanted` in which all are granted; `helpers` (detaches, cumulative livepatches) may be taken too where that helps. The
 * first order in the order of the indexes is found first. Steps of one class are tried once, situations that were a dead end once.
 */
export function findOrder(search: Search, wanted: readonly number[], helpers: readonly number[] = []): Found {
  const all = [...wanted, ...helpers.filter((each) => !wanted.includes(each))].sort((a, b) => a - b);
  const isWanted = new Set(wanted);
  const taken = new Set<number>();
  const dead = new Set<string>();
  const isMemo = all.length > EXHAUSTIVE_MAX;
  const candidatesOf = (): number[] => {
    const classes = new Set<number>();
    const found: number[] = [];
    for (const index of all) {
      const kind = search.classes[index] as number;
      if (taken.has(index) || classes.has(kind)) continue;
      classes.add(kind);
      found.push(index);
    }
    return found.reverse();
  };
  const sites = new Set<number>();
  const functions = new Set<number>();
  const keyOf = (situation: Situation): string => {
    const counts = new Map<number, number>();
    for (const index of taken) {
      const kind = search.classes[index] as number;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    const set = [...counts].sort(([a], [b]) => a - b).join(' ');
    return `${set}|${signature(situation.state, [...sites].sort(), [...functions].sort())}`;
  };
  const frames: Frame[] = [{ situation: search.start, key: '', candidates: candidatesOf(), step: -1 }];
  let missing = isWanted.size;
  while (missing > 0) {
    const frame = frames.at(-1);
    if (frame === undefined) return { kind: 'none' };
    const index = frame.candidates.pop();
    if (index === undefined) {
      if (isMemo) dead.add(frame.key);
      frames.pop();
      taken.delete(frame.step);
      if (isWanted.has(frame.step)) missing += 1;
      continue;
    }
    if (isSpent(search)) return { kind: 'unknown' };
    const next = take(search, frame.situation, index, frames.length - 1);
    if (next.kind === 'refused') continue;
    if (next.decision.outcome.kind === 'granted')
      for (const site of next.decision.outcome.attachment.sites) {
        sites.add(site);
        functions.add(search.kernel.world.image.symbols.containing(site)?.offset ?? site);
      }
    taken.add(index);
    const key = isMemo ? keyOf(next.situation) : '';
    if (isMemo && dead.has(key)) {
      taken.delete(index);
      continue;
    }
    if (isWanted.has(index)) missing -= 1;
    frames.push({ situation: next.situation, key, candidates: candidatesOf(), step: index });
  }
  return { kind: 'order', order: frames.slice(1).map((frame) => frame.step) };
}
