import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearerToken, parseTokenFile } from './auth.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);

test('a token file: names, roles, comments', () => {
  const outcome = parseTokenFile(`# agents\nalpha ${A}\n\n  beta ${B} admin # on call\n`);
  assert.ok(outcome.ok);
  assert.equal(outcome.book.size, 2);
  assert.deepEqual(outcome.book.find(A), { name: 'alpha', role: 'attach' });
  assert.deepEqual(outcome.book.find(B), { name: 'beta', role: 'admin' });
  assert.equal(outcome.book.find(`${A}x`), undefined);
  assert.equal(outcome.book.find(''), undefined);
});

test('a bad token file names the line and never the token', () => {
  const cases: readonly [string, number, RegExp][] = [
    ['alpha', 1, /token is missing/],
    [`alpha ${A} root`, 1, /role is one of/],
    [`alpha ${A}\nbeta ${A}`, 2, /already on an earlier line/],
    [`alpha ${A}\nalpha ${B} admin`, 2, /another role/],
    [`alpha ${A} admin more`, 1, /there is more/],
    ['alpha short', 1, /at least 16/],
    ['# nothing', 1, /no token/],
  ];
  for (const [text, line, message] of cases) {
    const outcome = parseTokenFile(text);
    assert.ok(!outcome.ok);
    assert.equal(outcome.line, line);
    assert.match(outcome.message, message);
    assert.doesNotMatch(outcome.message, /aaaa|bbbb|short$/);
  }
});

test('the Authorization header', () => {
  assert.equal(bearerToken(`Bearer ${A}`), A);
  assert.equal(bearerToken(`bearer ${A}`), A);
  for (const bad of [undefined, '', A, `Basic ${A}`, 'Bearer', 'Bearer a b']) assert.equal(bearerToken(bad), undefined);
});
