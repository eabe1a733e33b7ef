import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { globMatches } from './glob.ts';

const matches = (pattern: string, name: string): boolean => {
  const bytes = Buffer.from(`xx${name}yy`, 'latin1');
  return globMatches(Buffer.from(pattern, 'latin1'), bytes, 2, bytes.length - 2);
};

const asRegExp = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.*+?^${}()|[\]\\]/g, (c) => (c === '*' ? '[^]*' : c === '?' ? '[^]' : `\\${c}`))}$`);

test('globs match what the same regular expression matches', () => {
  const letters = fc.stringMatching(/^[ab_]{0,12}$/);
  fc.assert(
    fc.property(fc.stringMatching(/^[ab_*?]{0,8}$/), letters, (pattern, name) => {
      assert.equal(matches(pattern, name), asRegExp(pattern).test(name), `${pattern} on ${name}`);
    }),
    { numRuns: 2000 },
  );
});

test('a pattern of many stars on a name that nearly matches ends at once', () => {
  const steps = matches(`${'a*'.repeat(200)}b`, 'a'.repeat(2000));
  assert.equal(steps, false);
});
