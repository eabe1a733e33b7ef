import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkOptions, flag, type OptionSpecs, u64 } from './options.ts';

const SPECS: OptionSpecs = {
  armed: { type: 'boolean' },
  count: { type: 'integer', min: 1, max: 8 },
  cookie: { type: 'u64' },
  way: { type: 'enum', values: ['near', 'far'] },
};

const ruleOf = (options: Readonly<Record<string, unknown>>): string => {
  const checked = checkOptions('thing', SPECS, options);
  return checked.ok ? 'ok' : checked.fault.rule;
};

describe('options', () => {
  it('are taken when the kind has them and the value fits', () => {
    const options = { armed: false, count: 8, cookie: '0xffffffffffffffff', way: 'near' };
    assert.deepEqual(checkOptions('thing', SPECS, options), { ok: true, value: options });
    assert.equal(ruleOf({}), 'ok');
    assert.equal(ruleOf({ cookie: 0 }), 'ok');
  });

  it('are refused when misspelt, and the fault lists what there is', () => {
    const checked = checkOptions('thing', SPECS, { Armed: true });
    assert.equal(checked.ok, false);
    assert.match(checked.ok ? '' : checked.fault.detail, /"Armed".*armed, count, cookie, way/);
    for (const name of ['constructor', '__proto__', 'toString'])
      assert.equal(ruleOf(JSON.parse(`{"${name}": true}`)), 'option.invalid', name);
  });

  for (const wrong of [
    { armed: 'true' },
    { armed: 1 },
    { armed: null },
    { count: 0 },
    { count: 9 },
    { count: 1.5 },
    { count: '1' },
    { cookie: -1 },
    { cookie: 2 ** 53 },
    { cookie: '12' },
    { cookie: '0x' },
    { cookie: '0x10000000000000000' },
    { way: 'sideways' },
    { way: ['near'] },
  ])
    it(`are refused as ${JSON.stringify(wrong)}`, () => assert.equal(ruleOf(wrong), 'option.invalid'));

  it('are read with defaults', () => {
    assert.equal(flag({ armed: true }, 'armed'), true);
    assert.equal(flag({}, 'armed'), false);
    assert.equal(u64({ cookie: '0xffffffffffffffff' }, 'cookie'), 0xffff_ffff_ffff_ffffn);
    assert.equal(u64({ cookie: 7 }, 'cookie'), 7n);
    assert.equal(u64({}, 'cookie'), 0n);
  });
});
