/** The kernel's own listings and sysctls over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, type TestApp, testApp } from './support.ts';

const TOKENS =
  'looker tok-read-0000000000000001 read\nboss tok-admin-000000000000002 admin\nuser tok-attach-00000000000003 attach\n';

const put = (app: TestApp['app'], name: string, body: unknown, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'PUT',
    url: `/v1/sysctl/${name}`,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(body),
  });

test('listings are plain text, each from its own file of the kernel', async () => {
  const { get } = await testApp();
  const files = {
    '/v1/tracefs/enabled_functions': 'tracing/enabled_functions',
    '/v1/tracefs/kprobe_profile': 'tracing/kprobe_profile',
    '/v1/tracefs/available_filter_functions': 'tracing/available_filter_functions',
    '/v1/debugfs/kprobes/list': 'debug/kprobes/list',
    '/v1/debugfs/kprobes/blacklist': 'debug/kprobes/blacklist',
  };
  for (const [url, file] of Object.entries(files)) {
    const answer = await get(url);
    assert.equal(answer.statusCode, 200, answer.body);
    assert.match(String(answer.headers['content-type']), /^text\/plain; charset=utf-8$/);
    assert.equal(answer.body, `${file}\n`);
  }
});

test('a file that the kernel does not have is a problem', async () => {
  const { get } = await testApp();
  assertProblem(await get('/v1/tracefs/touched_functions'), 404, 'view.unknown');
  assertProblem(await get('/v1/debugfs/kprobes/enabled'), 404, 'http.not-found');
});

test('sysctls are read and written, and refused as the coordinator says', async () => {
  const { app, fake, get } = await testApp();
  assert.deepEqual((await get('/v1/sysctl/kernel.ftrace_enabled')).json(), { name: 'kernel.ftrace_enabled', value: 1 });
  assert.deepEqual((await put(app, 'debug.kprobes-optimization', { value: 1 })).json(), {
    name: 'debug.kprobes-optimization',
    value: 1,
  });
  assert.equal(fake.callers.at(-1)?.client, 'anonymous');
  assertProblem(await put(app, 'kernel.ftrace_enabled', { value: 0 }), 409, 'sysctl.ftrace-enabled.permanent');
  assertProblem(await get('/v1/sysctl/vm.swappiness'), 404, 'sysctl.unknown');
});

test('a value other than 0 and 1 does not fit the schema', async () => {
  const { app } = await testApp();
  for (const body of [
    {},
    { value: 2 },
    { value: -1 },
    { value: '1' },
    { value: true },
    { value: 0.5 },
    { value: 1, x: 1 },
  ])
    assertProblem(await put(app, 'kernel.ftrace_enabled', body), 400, 'http.schema');
});

test('with tokens only an administrator writes a sysctl; everyone may read', async () => {
  const { app, get } = await testApp({ tokens: TOKENS });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  for (const token of ['tok-read-0000000000000001', 'tok-attach-00000000000003']) {
    assertProblem(await put(app, 'debug.kprobes-optimization', { value: 1 }, as(token)), 403, 'http.role');
    assert.equal((await get('/v1/sysctl/kernel.ftrace_enabled', as(token))).statusCode, 200);
  }
  const written = await put(app, 'debug.kprobes-optimization', { value: 1 }, as('tok-admin-000000000000002'));
  assert.equal(written.statusCode, 200);
});
