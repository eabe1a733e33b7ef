import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RecentQuantiles } from './recent-quantiles.ts';

it('RecentQuantiles answers nearest ranks of the newest samples only', () => {
  const recent = new RecentQuantiles(100);
  assert.deepEqual(recent.read(), { p50: null, p99: null });
  recent.add(7);
  assert.deepEqual(recent.read(), { p50: 7, p99: 7 });
  for (let i = 1; i <= 100; i++) recent.add(i);
  assert.deepEqual(recent.read(), { p50: 50, p99: 99 });
  for (let i = 0; i < 100; i++) recent.add(1_000);
  assert.deepEqual(recent.read(), { p50: 1_000, p99: 1_000 });
});
