import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pageOf } from './paging.ts';

const ALL = ['a', 'b', 'c', 'd', 'e'];
const upper = (item: string): string => item.toUpperCase();
const page = (items: readonly string[], nextCursor: string | null) => ({ ok: true, value: { items, nextCursor } });

describe('a page', () => {
  it('starts at the cursor and says where the next one starts', () => {
    assert.deepEqual(pageOf(ALL, { limit: 2 }, upper), page(['A', 'B'], '2'));
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '2' }, upper), page(['C', 'D'], '4'));
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '4' }, upper), page(['E'], null));
  });

  it('is the last one when it ends with the list', () => {
    assert.deepEqual(pageOf(ALL, { limit: 5 }, upper), page(['A', 'B', 'C', 'D', 'E'], null));
    assert.deepEqual(pageOf([], { limit: 5 }, upper), page([], null));
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '99' }, upper), page([], null));
  });

  it('is refused at a cursor that no page gave', () => {
    for (const cursor of ['', 'x', '-1', '1.5', '12345678901']) {
      const refused = pageOf(ALL, { limit: 2, cursor }, upper);
      assert.equal(refused.ok ? 'ok' : refused.fault.rule, 'list.cursor.invalid', JSON.stringify(cursor));
    }
  });
});
