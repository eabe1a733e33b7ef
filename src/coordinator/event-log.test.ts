import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../base/index.ts';
import { EVENTS_RETAINED, EventLog } from './event-log.ts';

describe('the event log', () => {
  it('numbers from 1, without a gap', () => {
    const log = new EventLog(new ManualClock(0));
    assert.deepEqual(log.range(), { first: 1, last: 0 });
    assert.deepEqual(log.after(0, 10), []);
    for (let i = 1; i <= 3; i++) assert.equal(log.append('poke', { i }).sequence, i);
    assert.deepEqual(log.range(), { first: 1, last: 3 });
    assert.deepEqual(
      log.after(1, 10).map(({ sequence }) => sequence),
      [2, 3],
    );
    assert.deepEqual(
      log.after(0, 2).map(({ sequence }) => sequence),
      [1, 2],
    );
    assert.deepEqual(log.after(3, 10), []);
  });

  it('keeps the last ones, and says which', () => {
    const log = new EventLog(new ManualClock(0));
    const count = EVENTS_RETAINED * 2 + 10;
    for (let i = 0; i < count; i++) log.append('poke', {});
    const { first, last } = log.range();
    assert.equal(last, count);
    assert.ok(last - first + 1 >= EVENTS_RETAINED);
    assert.ok(last - first + 1 <= EVENTS_RETAINED * 2);
    assert.equal(log.after(0, 1)[0]?.sequence, first, 'from the first that is left');
    assert.equal(log.after(last - 1, 5)[0]?.sequence, last);
  });

  it('tells listeners until they leave, after the event is in the log', () => {
    const log = new EventLog(new ManualClock(0));
    const heard: number[] = [];
    const leave = log.onEvent(({ sequence }) => {
      assert.equal(log.range().last, sequence);
      heard.push(sequence);
    });
    log.append('image', {});
    leave();
    log.append('image', {});
    assert.deepEqual(heard, [1]);
  });
});
