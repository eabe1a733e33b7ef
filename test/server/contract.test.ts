/** Each rule of the HTTP contract, through `inject`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, FENTRY, testApp } from './support.ts';

test('attach answers 201 with Location, and passes the caller', async () => {
  const { post, fake } = await testApp();
  const response = await post(
    '/v1/attachments',
    { ...FENTRY, options: { cookie: '0x1' } },
    { 'x-ktextd-client': 'agent one' },
  );
  assert.equal(response.statusCode, 201);
  assert.equal(response.headers.location, '/v1/attachments/att_1');
  assert.equal(response.json().verdict, 'attached');
  assert.equal(response.json().sites[0].budget.ipmodify, 1);
  assert.equal(fake.callers[0]?.client, 'agent one');
  assert.equal(fake.callers[0]?.tenant, 'default');
});

test('a coordinator fault becomes a problem with its holders', async () => {
  const { post } = await testApp();
  const body = { kind: 'ftrace', target: 'f', options: { ipmodify: true } };
  await post('/v1/attachments', body);
  const problem = assertProblem(await post('/v1/attachments', body), 409, 'ftrace.ipmodify.exclusive');
  assert.equal(problem['title'], 'One IPMODIFY user per function');
  assert.equal((problem['holders'] as { attachment: string }[])[0]?.attachment, 'att_1');
  assert.equal(problem['profile'], 'max');
});

test('bodies are strict: unknown fields, coercion, unknown kinds and missing fields get 400 with the path', async () => {
  const { post } = await testApp();
  const cases: readonly [unknown, string, RegExp][] = [
    [{ ...FENTRY, extra: 1 }, '', /unknown field "extra"/],
    [{ kind: 'fentry', target: 5 }, '/target', /must be a place, an array of places, or/],
    [{ kind: 'fentry', target: [5] }, '/target', /must be a place/],
    [{ kind: 'fentry', target: { pattern: 'a', more: 1 } }, '/target', /must be a place/],
    [{ kind: 'fantasy', target: 'f' }, '/kind', /must be one of kprobe, /],
    [{ kind: 'fentry' }, '', /"target" is missing/],
    [{ ...FENTRY, options: [] }, '/options', /must be object/],
    [{ ...FENTRY, options: 'x' }, '/options', /must be object/],
    [{ ...FENTRY, target: '' }, '/target', /must be a place/],
    [null, '', /must be object/],
    [[], '', /must be object/],
  ];
  for (const [body, path, message] of cases) {
    const problem = assertProblem(await post('/v1/attachments', body), 400, 'http.schema');
    const errors = problem['errors'] as { in: string; path: string; message: string; schemaPath: string }[];
    assert.equal(errors.length, 1, JSON.stringify(errors));
    assert.equal(errors[0]?.path, path);
    assert.match(String(errors[0]?.message), message);
    assert.match(String(errors[0]?.schemaPath), /^#/);
    assert.match(String(problem['detail']), message);
  }
});

test('an array or a pattern where the kind takes one place is a 400; where it takes them it is not', async () => {
  const { post } = await testApp();
  for (const kind of ['kprobe', 'kretprobe', 'fentry', 'fexit', 'ftrace_direct', 'jump_label', 'kgdb']) {
    assertProblem(await post('/v1/attachments', { kind, target: ['a'] }), 400, 'http.target');
    assertProblem(await post('/v1/attachments', { kind, target: { pattern: 'a*' } }), 400, 'http.target');
  }
  for (const kind of ['kprobe_multi', 'kretprobe_multi', 'fprobe', 'ftrace']) {
    assert.equal((await post('/v1/attachments', { kind, target: ['a', 'b'] })).statusCode, 201);
    assert.equal((await post('/v1/attachments', { kind, target: { pattern: 'a*' } })).statusCode, 201);
  }
  assert.equal((await post('/v1/attachments', { kind: 'livepatch', target: ['a', 'b'] })).statusCode, 201);
  assertProblem(await post('/v1/attachments', { kind: 'livepatch', target: { pattern: 'a*' } }), 400, 'http.target');
});

test('100,000 places are taken, one more is 413', async () => {
  const { post } = await testApp();
  const places = Array.from({ length: 100_000 }, (_, i) => `f${i}`);
  assert.equal((await post('/v1/attachments', { kind: 'ftrace', target: places })).statusCode, 201);
  assertProblem(
    await post('/v1/attachments', { kind: 'ftrace', target: [...places, 'g'] }),
    413,
    'http.too-many-places',
  );
  const steps = [{ attach: { kind: 'ftrace', target: places } }, { attach: { kind: 'ftrace', target: ['g'] } }];
  assertProblem(await post('/v1/plans', { steps }), 413, 'http.too-many-places');
});

test('bodies: 1 MiB in general, 8 MiB for attachments and plans', async () => {
  const { post } = await testApp();
  const pad = (bytes: number) => ({ kind: 'ftrace', target: 'f', options: { pad: 'x'.repeat(bytes) } });
  assert.equal((await post('/v1/attachments', pad(7 << 20))).statusCode, 201);
  assertProblem(await post('/v1/attachments', pad(8 << 20)), 413, 'http.body-too-large');
  assertProblem(await post('/v1/image/reset', pad(1 << 20)), 413, 'http.body-too-large');
});

test('a body that is not JSON, or that reaches for prototypes, is a 400', async () => {
  const { app } = await testApp();
  const send = (payload: string) =>
    app.inject({ method: 'POST', url: '/v1/attachments', headers: { 'content-type': 'application/json' }, payload });
  assertProblem(await send('{"kind":'), 400, 'http.json');
  assertProblem(await send('{"kind":"ftrace","target":"f","options":{"__proto__":{"x":1}}}'), 400, 'http.json');
});

test('every POST, PUT and PATCH needs application/json, even with an empty body', async () => {
  const { app } = await testApp();
  const send = (method: 'POST' | 'PATCH', url: string, type: string | undefined, payload?: string) =>
    app.inject({
      method,
      url,
      headers: type === undefined ? {} : { 'content-type': type },
      ...(payload === undefined ? {} : { payload }),
    });
  assertProblem(await send('POST', '/v1/image/reset', undefined), 415, 'http.content-type');
  assertProblem(await send('POST', '/v1/image/reset', 'text/plain', '{}'), 415, 'http.content-type');
  assertProblem(
    await send('POST', '/v1/attachments', 'application/x-www-form-urlencoded', 'a=b'),
    415,
    'http.content-type',
  );
  assertProblem(
    await send('POST', '/v1/attachments', 'application/json; charset=latin1', '{}'),
    415,
    'http.content-type',
  );
  assertProblem(await send('PATCH', '/v1/attachments/att_1', undefined), 415, 'http.content-type');
  assert.equal((await send('POST', '/v1/image/reset', 'application/json')).statusCode, 200);
  assert.equal((await send('POST', '/v1/image/reset', 'application/json; charset=utf-8', '{}')).statusCode, 200);
  assertProblem(await send('POST', '/v1/image/reset', 'application/json', '{"x":1}'), 400, 'http.schema');
});

test('a DELETE may say application/json without a body', async () => {
  const { app, post } = await testApp();
  await post('/v1/attachments', FENTRY);
  const headers = { 'content-type': 'application/json' };
  const response = await app.inject({ method: 'DELETE', url: '/v1/attachments/att_1', headers });
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json().restored, ['0xffffffff81a3c4d0']);
});

test('query strings are parsed explicitly', async () => {
  const { get } = await testApp();
  const bad: readonly [string, RegExp][] = [
    ['/v1/symbols?limit=0', />= 1/],
    ['/v1/symbols?limit=1001', /<= 1000/],
    ['/v1/symbols?limit=ten', /must be a non-negative decimal integer, not "ten"/],
    ['/v1/symbols?limit=1e2', /decimal integer/],
    ['/v1/symbols?limit=', /decimal integer/],
    ['/v1/symbols?limit=1&limit=2', /more than once/],
    ['/v1/symbols?lmit=1', /unknown parameter "lmit"/],
    ['/v1/symbols?attachable=uprobe', /must be one of kprobe/],
    ['/v1/text?length=4', /"at" is missing/],
    ['/v1/text?at=f&length=65537', /<= 65536/],
    ['/v1/sites?state=broken', /must be one of patched/],
    ['/v1/image?x=1', /unknown parameter/],
    ['/v1/events?types=attached,nonsense', /nonsense/],
  ];
  for (const [url, message] of bad) {
    assert.match(String(assertProblem(await get(url), 400, 'http.schema')['detail']), message);
  }
  assert.equal((await get('/v1/symbols?limit=1000&match=tcp_*&attachable=fentry')).statusCode, 200);
});

test('lists are paged', async () => {
  const { get } = await testApp();
  const first = (await get('/v1/symbols?limit=2')).json();
  assert.equal(first.items.length, 2);
  const second = (await get(`/v1/symbols?limit=2&cursor=${first.nextCursor}`)).json();
  assert.equal(second.items.length, 1);
  assert.equal(second.nextCursor, null);
});

test('a place keeps its plus, raw or encoded, in path and query', async () => {
  const { get } = await testApp();
  for (const place of ['tcp_set_state+0x4', 'tcp_set_state%2B0x4', 'tcp_set_state%2b0x4']) {
    assert.equal((await get(`/v1/sites/${place}`)).json().symbol, 'tcp_set_state+0x4');
    assert.equal((await get(`/v1/text?at=${place}`)).json().symbol, 'tcp_set_state+0x4');
    assert.equal((await get(`/v1/sites/${place}/history`)).json().items.length, 1);
  }
  const long = `${'a'.repeat(511)}+0x10`;
  assert.equal((await get(`/v1/sites/${long}`)).json().symbol, long);
});

test('x-ktextd-client is 1 to 64 printable characters', async () => {
  const { post } = await testApp();
  for (const label of ['', 'x'.repeat(65), 'a\tb', 'caf\u00e9']) {
    assertProblem(await post('/v1/attachments', FENTRY, { 'x-ktextd-client': label }), 400, 'http.header');
  }
  assert.equal((await post('/v1/attachments', FENTRY, { 'x-ktextd-client': 'x'.repeat(64) })).statusCode, 201);
});

test('an unknown session is a 401, and its id is not repeated', async () => {
  const { post } = await testApp();
  const problem = assertProblem(
    await post('/v1/attachments', FENTRY, { 'x-ktextd-session': 'deadbeef' }),
    401,
    'sessions.unknown',
  );
  assert.doesNotMatch(JSON.stringify(problem), /deadbeef/);
});

test('x-ktextd-deadline-ms is the longest wait for text_mutex', async () => {
  const { post, fake } = await testApp();
  for (const header of ['0', '-1', 'soon', '600001', '1.5'])
    assertProblem(await post('/v1/attachments', FENTRY, { 'x-ktextd-deadline-ms': header }), 400, 'http.header');
  assert.equal((await post('/v1/attachments', FENTRY, { 'x-ktextd-deadline-ms': '250' })).statusCode, 201);
  assert.equal(fake.callers.at(-1)?.deadlineMs, 250);
});

test('a client has so many requests in flight, and so many a second', async () => {
  const few = await testApp({ requestLimits: { inFlight: 0 } });
  const refused = await few.post('/v1/attachments', FENTRY);
  assertProblem(refused, 429, 'quota.in-flight');
  assert.equal(refused.headers['retry-after'], '1');
  const slow = await testApp({ requestLimits: { inFlight: 64, perSecond: 1 } });
  for (let i = 0; i < 2; i++) assert.equal((await slow.get('/v1/image')).statusCode, 200);
  assertProblem(await slow.get('/v1/image'), 429, 'quota.rate');
  assert.equal((await slow.get('/v1/image', { 'x-ktextd-client': 'other' })).statusCode, 200);
});

test('If-Match: the current revision attaches, an older one is 412', async () => {
  const { post, get } = await testApp();
  assert.equal((await get('/v1/sites/f')).headers.etag, '"0"');
  assert.equal((await post('/v1/attachments', FENTRY, { 'if-match': '"0"' })).statusCode, 201);
  const response = await post('/v1/attachments', FENTRY, { 'if-match': '"0"' });
  assertProblem(response, 412, 'precondition.site-revision');
  assertProblem(await post('/v1/attachments', FENTRY, { 'if-match': 'W/"1"' }), 400, 'http.header');
  assert.equal((await post('/v1/attachments', FENTRY, { 'if-match': '*' })).statusCode, 201);
});

test('PATCH and DELETE of an attachment', async () => {
  const { app, post } = await testApp();
  await post('/v1/attachments', FENTRY);
  const headers = { 'content-type': 'application/json' };
  const patch = (payload: string) => app.inject({ method: 'PATCH', url: '/v1/attachments/att_1', headers, payload });
  assert.equal((await patch('{"enabled":false}')).json().enabled, false);
  assertProblem(await patch('{"enabled":"false"}'), 400, 'http.schema');
  assertProblem(await patch('{}'), 400, 'http.schema');
  assert.equal((await app.inject({ method: 'DELETE', url: '/v1/attachments/att_1' })).json().verdict, 'detached');
  assertProblem(await app.inject({ method: 'DELETE', url: '/v1/attachments/att_1' }), 404, 'attachment.unknown');
});

test('an unknown path is a 404, a known one with another method a 405 with Allow', async () => {
  const { app, get } = await testApp();
  assertProblem(await get('/v1/nonsense'), 404, 'http.not-found');
  assertProblem(await get('/v1/no-such'), 404, 'http.not-found');
  const response = await app.inject({
    method: 'PUT',
    url: '/v1/attachments',
    headers: { 'content-type': 'application/json' },
  });
  assertProblem(response, 405, 'http.method');
  assert.equal(response.headers.allow, 'GET, HEAD, POST');
  const site = await app.inject({ method: 'DELETE', url: '/v1/sites/tcp_set_state+0x4?x=1' });
  assertProblem(site, 405, 'http.method');
  assert.equal(site.headers.allow, 'GET, HEAD');
  assertProblem(await app.inject({ method: 'OPTIONS', url: '/v1/attachments' }), 405, 'http.method');
  assertProblem(await get('/v1/%zz'), 400, 'http.malformed');
});

test('a foreign Host or Origin is a 403', async () => {
  const { app } = await testApp();
  const get = (headers: Record<string, string>) => app.inject({ method: 'GET', url: '/v1/image', headers });
  for (const host of ['evil.example', 'localhost.evil.example:7700', '127.0.0.1.nip.io', 'a b']) {
    assertProblem(await get({ host }), 403, 'http.host');
  }
  const host = 'localhost:7700';
  for (const origin of ['http://evil.example', 'null', 'http://localhost:3000', 'file://', 'garbage']) {
    assertProblem(await get({ host, origin }), 403, 'http.origin');
  }
  for (const origin of ['http://localhost:7700', 'http://127.0.0.1:7700']) {
    assert.equal((await get({ host, origin })).statusCode, 200);
  }
  assert.equal((await get({ host: '127.0.0.1:9999' })).statusCode, 200);
});

test('statuses follow the errno', async () => {
  const { post, fake } = await testApp();
  const cases = {
    EINVAL: 422,
    EOPNOTSUPP: 422,
    ENOTSUPP: 422,
    EILSEQ: 422,
    EADDRNOTAVAIL: 422,
    ERANGE: 422,
    ENOMEM: 422,
    ENOENT: 404,
    ESRCH: 404,
    EBUSY: 409,
    EEXIST: 409,
    EADDRINUSE: 409,
    E2BIG: 409,
    ENOSPC: 409,
    EMFILE: 409,
    EACCES: 403,
    EPERM: 403,
    ETIMEDOUT: 503,
    EAGAIN: 503,
    ENODEV: 503,
  } as const;
  for (const [errno, status] of Object.entries(cases)) {
    fake.failNext({ errno: errno as keyof typeof cases, rule: 'test.rule', detail: 'as planned' });
    const response = await post('/v1/attachments', FENTRY);
    assertProblem(response, status, 'test.rule');
    assert.equal(response.headers['retry-after'] !== undefined, errno === 'ETIMEDOUT' || errno === 'EAGAIN');
  }
  fake.failNext({ errno: 'EMFILE', rule: 'quota.attachments', detail: 'too many' });
  assertProblem(await post('/v1/attachments', FENTRY), 429, 'quota.attachments');
});

test('a bug of ours is a 500 without its insides; a poisoned service still reads', async () => {
  const { post, get, fake } = await testApp();
  fake.failNext(new Error('secret stack'));
  const problem = assertProblem(await post('/v1/attachments', FENTRY), 500, 'service.internal');
  assert.doesNotMatch(JSON.stringify(problem), /secret/);
  fake.poison('site 5 has two owners');
  assertProblem(await post('/v1/attachments', FENTRY), 500, 'service.poisoned');
  assertProblem(await get('/readyz'), 500, 'service.poisoned');
  assert.equal((await get('/v1/image')).statusCode, 200);
  assert.equal((await post('/v1/plans', { steps: [{ attach: FENTRY }] })).statusCode, 200);
});

test('plans: either attach or detach, targets checked by step, problems carry status and requestId', async () => {
  const { post } = await testApp();
  const plan = (steps: unknown, query = '') => post(`/v1/plans${query}`, { steps });
  const answer = (
    await plan([{ attach: FENTRY, client: 'a' }, { detach: 'att_9' }, { attach: { kind: 'ftrace', target: 'held' } }])
  ).json();
  assert.deepEqual(
    answer.steps.map((s: { verdict: string }) => s.verdict),
    ['attached', 'detached', 'refused'],
  );
  assert.equal(answer.steps[2].problem.status, 409);
  assert.match(answer.steps[2].problem.requestId, /^req_/);
  assert.equal((await plan([{ attach: FENTRY }], '?kernel=6.6')).json().kernel, '6.6');
  assertProblem(await plan([{ attach: FENTRY }], '?kernel=new'), 400, 'http.schema');
  assert.deepEqual((await plan([{ attach: FENTRY }, { attach: FENTRY }], '?solve=order')).json().order, [0, 1]);
  const unsolved = (await plan([{ attach: { kind: 'ftrace', target: 'held' } }], '?solve=order')).json();
  assert.deepEqual(unsolved.conflict.steps, [0]);
  assert.equal(unsolved.conflict.why.status, 409);
  assert.equal(unsolved.steps[0].cost.graces.rcu_tasks, 1);
  assert.equal(unsolved.steps[0].cost.estimate.figures[0].source, 'a paper');
  assertProblem(await plan([{ attach: FENTRY }], '?solve=all'), 400, 'http.schema');
  assertProblem(await plan([]), 400, 'http.schema');
  for (const step of [{}, { attach: FENTRY, detach: 'att_1' }]) {
    assert.equal(assertProblem(await plan([{ detach: 'x' }, step]), 400, 'http.schema')['index'], 1);
  }
  assertProblem(await plan([{ attach: { ...FENTRY, bogus: 1 } }]), 400, 'http.schema');
  const wrong = await plan([{ attach: FENTRY }, { attach: { kind: 'kprobe', target: ['a'] } }]);
  assert.equal(assertProblem(wrong, 400, 'http.target')['index'], 1);
});
