/**
 * Is a recorded history of one site linearizable? Goal: find an order of the operations that respects real time (what was answered before another
 * was asked stays before it) and in which each answer is what a site alone would have given.
 *
 * Method (Wing and Gong 1993, with Lowe's memory of visited sets): try as the next operation each one that began before any other unplaced one was
 * answered. What is attached follows from the set of placed operations alone, because ids are unique, so a set that failed once fails always.
 */

/** What a client asked and what it was told. Times in any unit that orders them. */
export type Operation = {
  readonly client: string;
  readonly askedAt: number;
  readonly answeredAt: number;
} & (
  | { readonly kind: 'attach'; readonly isExclusive: boolean; readonly id: string | undefined }
  | { readonly kind: 'detach'; readonly id: string; readonly isFound: boolean }
  | { readonly kind: 'read'; readonly ids: readonly string[] }
);

/** What is attached at a site: by id, whether it wants to be the only one of its kind. */
type Attached = ReadonlyMap<string, boolean>;

/** The site after the operation; undefined when a site with this attached would have answered otherwise. */
function after(attached: Attached, operation: Operation): Attached | undefined {
  if (operation.kind === 'read') {
    const { ids } = operation;
    return ids.length === attached.size && ids.every((id) => attached.has(id)) ? attached : undefined;
  }
  if (operation.kind === 'detach') {
    if (attached.has(operation.id) !== operation.isFound) return undefined;
    const next = new Map(attached);
    next.delete(operation.id);
    return next;
  }
  const { id, isExclusive } = operation;
  const isTaken = isExclusive && [...attached.values()].includes(true);
  if (isTaken !== (id === undefined)) return undefined;
  return id === undefined ? attached : new Map(attached).set(id, isExclusive);
}

/** An order that explains all answers, or undefined: there is none. */
export function linearize(history: readonly Operation[]): readonly Operation[] | undefined {
  const failed = new Set<bigint>();
  const order: Operation[] = [];
  const ordered = [...history].sort((a, b) => a.askedAt - b.askedAt);

  const place = (placed: bigint, attached: Attached): boolean => {
    if (order.length === ordered.length) return true;
    if (failed.has(placed)) return false;
    let firstAnswer = Number.POSITIVE_INFINITY;
    for (const [index, operation] of ordered.entries()) {
      if ((placed & (1n << BigInt(index))) !== 0n) continue;
      if (operation.askedAt > firstAnswer) break;
      firstAnswer = Math.min(firstAnswer, operation.answeredAt);
      const next = after(attached, operation);
      if (next === undefined) continue;
      order.push(operation);
      if (place(placed | (1n << BigInt(index)), next)) return true;
      order.pop();
    }
    failed.add(placed);
    return false;
  };
  return place(0n, new Map()) ? order : undefined;
}
