import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Fault, ManualClock } from '../base/index.ts';
import { createLimiter } from './limits.ts';

const left = (entered: Fault | (() => void)): (() => void) => {
  assert.ok(typeof entered === 'function', 'refused');
  return entered;
};

const ruleOf = (entered: Fault | (() => void)): string | undefined =>
  typeof entered === 'function' ? undefined : entered.rule;

describe('what one client may ask at a time', () => {
  it('is so many requests in flight; another client’s do not count', () => {
    const limiter = createLimiter(new ManualClock(), { inFlight: 2 });
    const first = left(limiter.enter('a'));
    const second = left(limiter.enter('a'));
    assert.equal(ruleOf(limiter.enter('a')), 'quota.in-flight');
    left(limiter.enter('b'))();
    first();
    first();
    left(limiter.enter('a'));
    assert.equal(ruleOf(limiter.enter('a')), 'quota.in-flight');
    second();
  });

  it('is so many requests a second, twice as many at once', () => {
    const clock = new ManualClock();
    const limiter = createLimiter(clock, { inFlight: 64, perSecond: 10 });
    for (let i = 0; i < 20; i++) left(limiter.enter('a'))();
    assert.equal(ruleOf(limiter.enter('a')), 'quota.rate');
    left(limiter.enter('b'))();
    clock.advance(100);
    left(limiter.enter('a'))();
    assert.equal(ruleOf(limiter.enter('a')), 'quota.rate');
    clock.advance(60_000);
    for (let i = 0; i < 20; i++) left(limiter.enter('a'))();
    assert.equal(ruleOf(limiter.enter('a')), 'quota.rate');
  });

  it('takes no memory for clients that rest', () => {
    const clock = new ManualClock();
    const plain = createLimiter(clock);
    for (let i = 0; i < 1_000; i++) left(plain.enter(`client-${i}`))();
    assert.equal(plain.clients, 0);
    const rated = createLimiter(clock, { inFlight: 64, perSecond: 10 });
    for (let i = 0; i < 25_000; i++) {
      left(rated.enter(`client-${i}`))();
      clock.advance(1);
    }
    assert.ok(rated.clients <= 10_001, `${rated.clients} are kept`);
  });
});
