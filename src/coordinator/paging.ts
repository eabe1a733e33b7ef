import type { Page, PageRequest } from './service.ts';

/** One page of a list; the cursor is the number of items before the next page. */
export function pageOf<T, U>(all: readonly T[], page: PageRequest, make: (item: T) => U): Page<U> {
  const start = Number(page.cursor ?? 0);
  const end = start + page.limit;
  return { items: all.slice(start, end).map(make), nextCursor: end < all.length ? String(end) : null };
}
