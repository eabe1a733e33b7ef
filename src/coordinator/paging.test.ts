import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pageOf } from './paging.ts';

const ALL = ['a', 'b', 'c', 'd', 'e'];
const upper = (item: string): string => item.toUpperCase();

describe('a page', () => {
  it('starts at the cursor and says where the next one starts', () => {
    assert.deepEqual(pageOf(ALL, { limit: 2 }, upper), { items: ['A', 'B'], nextCursor: '2' });
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '2' }, upper), { items: ['C', 'D'], nextCursor: '4' });
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '4' }, upper), { items: ['E'], nextCursor: null });
  });

  it('is the last one when it ends with the list', () => {
    assert.equal(pageOf(ALL, { limit: 5 }, upper).nextCursor, null);
    assert.deepEqual(pageOf([], { limit: 5 }, upper), { items: [], nextCursor: null });
    assert.deepEqual(pageOf(ALL, { limit: 2, cursor: '99' }, upper), { items: [], nextCursor: null });
  });
});
