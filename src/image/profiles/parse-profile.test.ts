import assert from 'node:assert/strict';
import test from 'node:test';
import { ok } from '../../base/index.ts';
import { BUILT_IN_PROFILES, DEFAULT_PROFILE, parseProfile } from './parse-profile.ts';

test('built-in profiles are valid, max is the default', () => {
  assert.equal(BUILT_IN_PROFILES['max'], DEFAULT_PROFILE);
  for (const [name, profile] of Object.entries(BUILT_IN_PROFILES)) {
    assert.deepEqual(parseProfile(JSON.parse(JSON.stringify(profile))), ok(profile));
    assert.equal(profile.name, name);
  }
});

test('faults name the place', () => {
  const good = { name: 'mine', cpu: ['flags : fpu'], vulnerabilities: {}, cmdline: '' };
  const cases: readonly (readonly [unknown, string])[] = [
    [null, ''],
    [[], ''],
    [{ ...good, colour: 1 }, '/colour'],
    [{ ...good, 'a/b~c': 1 }, '/a~1b~0c'],
    [{ ...good, name: 'no spaces' }, '/name'],
    [{ ...good, name: undefined }, '/name'],
    [{ ...good, cpu: 'flags' }, '/cpu'],
    [{ ...good, cpu: ['x', 3] }, '/cpu/1'],
    [{ ...good, vulnerabilities: { meltdown: 1 } }, '/vulnerabilities/meltdown'],
    [{ ...good, cmdline: null }, '/cmdline'],
    [{ ...good, cmdline: 'x'.repeat(20_000) }, '/cmdline'],
    [{ ...good, staticKeys: { key: 'on' } }, '/staticKeys/key'],
  ];
  for (const [json, place] of cases) {
    const result = parseProfile(json);
    assert.equal(result.ok, false, place);
    if (!result.ok)
      assert.deepEqual(
        [result.fault.errno, result.fault.rule, result.fault.place],
        ['EINVAL', 'profile.invalid', place],
      );
  }
  assert.deepEqual(parseProfile({ ...good, staticKeys: { key: true } }), ok({ ...good, staticKeys: { key: true } }));
});
