/** Calls that only look, and what the service says while it cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertProblem, FENTRY, testApp } from './support.ts';

test('rules: the edge’s and the coordinator’s together, JSON by default and HTML for browsers', async () => {
  const { get } = await testApp();
  const list = (await get('/v1/rules')).json();
  const ids = list.items.map((r: { id: string }) => r.id);
  assert.ok(ids.includes('http.schema') && ids.includes('ftrace.ipmodify.exclusive'));
  for (const id of ids) assert.equal((await get(`/v1/rules/${id}`)).json().id, id);
  const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
  const html = await get('/v1/rules/ftrace.ipmodify.exclusive', browser);
  assert.match(String(html.headers['content-type']), /^text\/html/);
  assert.match(html.body, /&#60;one&#62;/);
  assert.match((await get('/v1/rules', browser)).body, /<table>/);
  assertProblem(await get('/v1/rules/no.such'), 404, 'rules.unknown');
});

test('reads: image, audit, text-mutex, attachments, openapi, docs, metrics, the page', async () => {
  const { get, post } = await testApp();
  await post('/v1/attachments', FENTRY);
  assert.equal((await get('/v1/image')).json().profile, 'max');
  assert.equal((await get('/v1/audit')).json().orphans.length, 0);
  assert.equal((await get('/v1/text-mutex')).json().acquisitions, 7);
  assert.equal((await get('/v1/attachments?kind=fentry&place=f+0x1')).json().items[0].id, 'att_1');
  assert.equal((await get('/v1/attachments/att_1?sites=full')).json().id, 'att_1');
  assert.equal((await get('/openapi.json')).json().openapi, '3.1.0');
  assert.match((await get('/docs/')).body, /swagger/i);
  assert.match((await get('/')).body, /<!doctype html>/);
  const metrics = (await get('/metrics')).body;
  assert.match(metrics, /ktextd_attachments\{kind="fentry"\} 1/);
  assert.match(metrics, /ktextd_decisions_total\{verdict="attached",rule=""\} 1/);
  assert.match(metrics, /ktextd_calls_total\{ended="returned"\} 3/);
  assert.match(metrics, /ktextd_hits_total\{kind="fentry"\} 2/);
  assert.match(metrics, /ktextd_misses_total\{kind="kprobe",reason="recursion"\} 1/);
  assert.match(metrics, /ktextd_text_mutex_acquisitions_total 7/);
  assert.match(
    metrics,
    /ktextd_http_request_duration_seconds_count\{method="POST",route="\/v1\/attachments",status="201"\} 1/,
  );
});

test('reset answers how much it detached', async () => {
  const { post } = await testApp();
  await post('/v1/attachments', FENTRY);
  assert.equal((await post('/v1/image/reset?all=true', {})).json().detached, 1);
});

test('while the image loads: alive, not ready, and everything that needs it is a 503 with progress', async () => {
  const { get, post, state, fake } = await testApp({ isLoading: true });
  assert.equal((await get('/healthz')).statusCode, 200);
  state.setProgress({ step: 'kallsyms', done: 3, total: 9 });
  const response = await get('/readyz');
  assert.match(String(assertProblem(response, 503, 'service.loading')['detail']), /kallsyms, 3 of 9/);
  assert.equal(response.headers['retry-after'], '1');
  assertProblem(await post('/v1/attachments', FENTRY), 503, 'service.loading');
  assertProblem(await get('/v1/events'), 503, 'service.loading');
  assert.equal((await get('/v1/rules/service.loading')).statusCode, 200);
  state.setReady(fake);
  assert.equal((await get('/readyz')).json().release, '6.12.0-fake');
});

test('a failed load says why', async () => {
  const { get, state } = await testApp({ isLoading: true });
  state.setFailed({ errno: 'EINVAL', rule: 'image.malformed', detail: 'ELF header at offset 0 is cut' });
  assert.match(String(assertProblem(await get('/readyz'), 500, 'service.failed')['detail']), /ELF header/);
});
