import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FENTRY, testApp } from './support.ts';

const TOKENS = 'alpha aaaaaaaaaaaaaaaaaaaa\nbeta bbbbbbbbbbbbbbbbbbbb\n';
const KEY = { 'idempotency-key': 'k-1' };

test('a repeat with the same body gets the first answer, status and Location included', async () => {
  const { post, fake } = await testApp();
  const first = await post('/v1/attachments', FENTRY, KEY);
  const second = await post('/v1/attachments', FENTRY, KEY);
  assert.equal(second.statusCode, 201);
  assert.equal(second.body, first.body);
  assert.equal(second.headers.location, first.headers.location);
  assert.equal(second.headers['idempotency-replayed'], 'true');
  assert.equal(fake.callers.length, 1);
});

test('a refusal is replayed too', async () => {
  const { post } = await testApp();
  const body = { kind: 'fentry', target: 'nowhere' };
  const first = await post('/v1/attachments', body, KEY);
  const second = await post('/v1/attachments', body, KEY);
  assert.equal(second.statusCode, 404);
  assert.equal(second.body, first.body);
  assert.match(String(second.headers['content-type']), /problem\+json/);
});

test('another body, path or precondition with the same key is a 422', async () => {
  const { post } = await testApp();
  await post('/v1/attachments', FENTRY, KEY);
  for (const other of [
    post('/v1/attachments', { ...FENTRY, target: 'tcp_close' }, KEY),
    post('/v1/attachments?sites=full', FENTRY, KEY),
    post('/v1/attachments', FENTRY, { ...KEY, 'if-match': '"1"' }),
    post('/v1/image/reset', {}, KEY),
  ]) {
    const response = await other;
    assert.equal(response.statusCode, 422);
    assert.equal(response.json().rule, 'http.idempotency.conflict');
  }
});

test('a repeat while the first still runs waits for it', async () => {
  const { post, fake } = await testApp();
  const release = fake.holdAttach();
  const both = Promise.all([post('/v1/attachments', FENTRY, KEY), post('/v1/attachments', FENTRY, KEY)]);
  await new Promise((resolve) => setImmediate(resolve));
  release();
  const [a, b] = await both;
  assert.equal(a.body, b.body);
  assert.equal(fake.callers.length, 1);
});

test('an answer that means "not now" is not kept', async () => {
  const { post, fake } = await testApp();
  fake.failNext({ errno: 'ETIMEDOUT', rule: 'text-mutex.deadline', detail: 'too long' });
  assert.equal((await post('/v1/attachments', FENTRY, KEY)).statusCode, 503);
  assert.equal((await post('/v1/attachments', FENTRY, KEY)).statusCode, 201);
});

test('keys belong to their tenant', async () => {
  const { post, fake } = await testApp({ tokens: TOKENS });
  const as = (token: string) => ({ ...KEY, authorization: `Bearer ${token}` });
  const a = await post('/v1/attachments', FENTRY, as('aaaaaaaaaaaaaaaaaaaa'));
  const b = await post('/v1/attachments', FENTRY, as('bbbbbbbbbbbbbbbbbbbb'));
  assert.notEqual(a.json().id, b.json().id);
  assert.equal(fake.callers.length, 2);
});

test('a key that is no key is a 400', async () => {
  const { post } = await testApp();
  for (const key of ['', 'x'.repeat(256)]) {
    const response = await post('/v1/attachments', FENTRY, { 'idempotency-key': key });
    assert.equal(response.statusCode, 400);
    assert.equal(response.json().rule, 'http.header');
  }
});
