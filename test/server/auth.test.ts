import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FENTRY, testApp } from './support.ts';

const TOKENS =
  'alpha aaaaaaaaaaaaaaaaaaaa\nbeta bbbbbbbbbbbbbbbbbbbb\nlook rrrrrrrrrrrrrrrrrrrr read\nroot dddddddddddddddddddd admin\n';
const as = (letter: string) => ({ authorization: `Bearer ${letter.repeat(20)}` });

test('with tokens every call under /v1 and /metrics needs one; health, docs and the page do not', async () => {
  const { get, post } = await testApp({ tokens: TOKENS });
  for (const url of ['/v1/image', '/v1/attachments', '/v1/events', '/metrics']) {
    const response = await get(url);
    assert.equal(response.statusCode, 401, url);
    assert.equal(response.json().rule, 'http.token');
    assert.equal(response.headers['www-authenticate'], 'Bearer');
  }
  assert.equal((await post('/v1/attachments', FENTRY)).statusCode, 401);
  assert.equal((await get('/v1/image', { authorization: 'Bearer nobody' })).statusCode, 401);
  for (const url of ['/healthz', '/readyz', '/', '/openapi.json', '/docs/', '/v1/rules']) {
    assert.equal((await get(url)).statusCode, 200, url);
  }
  assert.equal((await get('/v1/image', as('r'))).statusCode, 200);
});

test('the token’s name wins over the label, and is the tenant', async () => {
  const { post, fake } = await testApp({ tokens: TOKENS });
  await post('/v1/attachments', FENTRY, { ...as('a'), 'x-ktextd-client': 'someone else' });
  assert.equal(fake.callers[0]?.client, 'alpha');
  assert.equal(fake.callers[0]?.tenant, 'alpha');
  assert.equal(fake.callers[0]?.isAdmin, false);
});

test('read may look and plan, attach may change its own, admin anything', async () => {
  const { app, post, get } = await testApp({ tokens: TOKENS });
  assert.equal((await post('/v1/attachments', FENTRY, as('r'))).json().rule, 'http.role');
  assert.equal((await post('/v1/plans', { steps: [{ attach: FENTRY }] }, as('r'))).statusCode, 200);
  assert.equal((await get('/v1/attachments', as('r'))).statusCode, 200);
  assert.equal((await post('/v1/attachments', FENTRY, as('a'))).statusCode, 201);
  const detach = (letter: string) =>
    app.inject({ method: 'DELETE', url: '/v1/attachments/att_1', headers: as(letter) });
  const denied = await detach('b');
  assert.equal(denied.statusCode, 403);
  assert.equal(denied.json().errno, 'EPERM');
  assert.equal((await detach('r')).statusCode, 403);
  assert.equal((await detach('d')).statusCode, 200);
});

test('resetting everyone needs admin', async () => {
  const { post } = await testApp({ tokens: TOKENS });
  assert.equal((await post('/v1/image/reset?all=true', {}, as('a'))).json().rule, 'http.role');
  assert.equal((await post('/v1/image/reset', {}, as('a'))).statusCode, 200);
  assert.equal((await post('/v1/image/reset?all=true', {}, as('d'))).statusCode, 200);
});
