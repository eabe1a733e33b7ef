import { err, ok, type Result } from '../base/index.ts';
import { refuse } from '../registry/index.ts';
import { CURSOR_INVALID } from './rules.ts';
import type { Page, PageRequest } from './service.ts';

/** The number of items before the page, which is what a cursor of this service holds. */
export function cursorStart(page: PageRequest): Result<number> {
  if (page.cursor === undefined) return ok(0);
  if (/^\d{1,9}$/.test(page.cursor)) return ok(Number(page.cursor));
  return err(refuse(CURSOR_INVALID, { detail: `${JSON.stringify(page.cursor)} is not a cursor of this service.` }));
}

/** One page of a list. */
export function pageOf<T, U>(all: readonly T[], page: PageRequest, make: (item: T) => U): Result<Page<U>> {
  const start = cursorStart(page);
  if (!start.ok) return start;
  const end = start.value + page.limit;
  return ok({ items: all.slice(start.value, end).map(make), nextCursor: end < all.length ? String(end) : null });
}
