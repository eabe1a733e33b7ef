/** The smallest set of steps that no order can grant together. */
import { findOrder, isSpent, type Search } from './solve-search.ts';

export interface Conflict {
  readonly steps: readonly number[];
  readonly isSmallest: boolean;
}

/** Sets of one size that are tried before the search for the smallest gives way to taking steps away. */
const SETS_MAX = 400;

/** Sets of `size` steps that differ in their classes: the first members stand for the others. Undefined when there are too many. */
function setsOf(search: Search, group: readonly number[], size: number): readonly (readonly number[])[] | undefined {
  const members = new Map<number, number[]>();
  for (const index of group) {
    const kind = search.classes[index] as number;
    members.set(kind, [...(members.get(kind) ?? []), index]);
  }
  const classes = [...members.values()];
  const found: number[][] = [];
  const extend = (from: number, chosen: readonly number[]): boolean => {
    if (chosen.length === size) {
      found.push([...chosen].sort((a, b) => a - b));
      return found.length <= SETS_MAX;
    }
    for (let at = from; at < classes.length; at++) {
      const own = classes[at] as number[];
      for (let count = Math.min(own.length, size - chosen.length); count > 0; count--)
        if (!extend(at + 1, [...chosen, ...own.slice(0, count)])) return false;
    }
    return true;
  };
  if (!extend(0, [])) return undefined;
  return found.sort((a, b) => {
    const at = a.findIndex((index, i) => index !== b[i]);
    return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
  });
}

/** From steps that cannot be ordered, takes steps away for as long as it stays so; steps of a class are alike in this too. */
function irreducible(search: Search, steps: readonly number[], helpers: readonly number[]): readonly number[] {
  let left = steps;
  const needed = new Set<number>();
  for (const index of [...steps].reverse()) {
    const kind = search.classes[index] as number;
    if (needed.has(kind) || isSpent(search)) continue;
    const fewer = left.filter((each) => each !== index);
    if (findOrder(search, fewer, helpers).kind === 'none') left = fewer;
    else needed.add(kind);
  }
  return left;
}

/** Sets of this size and less are tried from the smallest on. */
const SMALL = 4;

/**
 * Among steps that have no order, the fewest that have none. Steps in `helpers` may be taken where they help and are part of no conflict.
 * Undefined when the bound was reached before it was certain that what is left is a conflict from which nothing can be left out.
 */
export function smallestConflict(
  search: Search,
  steps: readonly number[],
  helpers: readonly number[],
): Conflict | undefined {
  const wanted = steps.filter((index) => !helpers.includes(index));
  // All that is asked for can be had, only not together with what is to be detached.
  if (findOrder(search, wanted, helpers).kind === 'order')
    return { steps: irreducible(search, steps, []), isSmallest: false };
  let isSmallest = true;
  for (let size = 1; size < wanted.length && size <= SMALL; size++) {
    const sets = setsOf(search, wanted, size);
    if (sets === undefined) {
      isSmallest = false;
      break;
    }
    for (const set of sets) {
      const found = findOrder(search, set, helpers);
      if (found.kind === 'none') return { steps: set, isSmallest };
      if (found.kind === 'unknown') return undefined;
    }
  }
  const left = irreducible(search, wanted, helpers);
  if (isSpent(search)) return undefined;
  // Of steps that are all alike, each smaller set is part of the one that was granted.
  const isAlike = new Set(wanted.map((index) => search.classes[index])).size === 1;
  return { steps: left, isSmallest: isSmallest && (isAlike || left.length <= SMALL + 1) };
}
