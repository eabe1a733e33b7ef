/** Explorations at the edge: what is asked for reaches the coordinator, and what is no exploration does not. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { assertProblem, testApp } from './support.ts';

const FOLDER = new URL('../../examples/explorations/', import.meta.url);
const load = (name: string): Record<string, unknown> => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
const SCENARIO = load('int3-call.json');

test('begun: 202 with Location; followed until it is done; listed; deleted', async () => {
  const { app, post, get } = await testApp();
  const begun = await post('/v1/explorations', {
    scenario: SCENARIO,
    mutant: 'just-text-poke',
    strategy: { kind: 'pct', seed: 7 },
    maxMs: 5,
  });
  assert.equal(begun.statusCode, 202, begun.body);
  assert.equal(begun.headers.location, '/v1/explorations/expl_1');
  const { state, mutant, strategy, budget } = begun.json();
  assert.deepEqual([state, mutant, budget.maxMs], ['running', 'just-text-poke', 5]);
  assert.deepEqual(strategy, { kind: 'pct', seed: 7, schedules: 100_000, changes: 3 });
  await get('/v1/explorations/expl_1');
  const done = (await get('/v1/explorations/expl_1')).json();
  assert.equal(done.state, 'done');
  assert.equal(done.result.counterexample.property, 'no-mix');
  assert.equal(done.trace.steps[0].what, 'stores int3 at 0x1000');
  const picture = await get('/v1/explorations/expl_1/trace.svg');
  assert.equal(picture.headers['content-type'], 'image/svg+xml');
  assert.match(picture.body, /^<svg /);
  assert.equal((await get('/v1/explorations')).json().items[0].id, 'expl_1');
  const deleted = await app.inject({ method: 'DELETE', url: '/v1/explorations/expl_1' });
  assert.equal(deleted.json().state, 'deleted');
  assertProblem(await get('/v1/explorations/expl_1'), 404, 'exploration.unknown');
});

test('a strategy takes the fields of its kind', async () => {
  const { post } = await testApp();
  const cases: readonly [Record<string, unknown>, RegExp][] = [
    [{ kind: 'exhaustive', seed: 1 }, /seed/],
    [{ kind: 'random', order: 'depth' }, /order/],
    [{ kind: 'replay' }, /"schedule" is missing/],
    [{ kind: 'exhaustive', order: 'depth', depthMax: 3 }, /depthMax/],
  ];
  for (const [strategy, message] of cases) {
    const response = await post('/v1/explorations', { scenario: SCENARIO, strategy });
    assert.equal(response.statusCode, 400, response.body);
    assert.match(response.json().detail, message);
  }
});

test('bodies are strict', async () => {
  const { post } = await testApp();
  const cases: readonly unknown[] = [
    {},
    { scenario: { ...SCENARIO, fetch: 'strong' } },
    { scenario: { ...SCENARIO, more: 1 } },
    { scenario: SCENARIO, mutant: 'fantasy' },
    { scenario: SCENARIO, maxMs: 0 },
    { scenario: { ...SCENARIO, patchers: [{ do: [{ op: 'think' }] }] } },
  ];
  for (const body of cases) assertProblem(await post('/v1/explorations', body), 400, 'http.schema');
});

test('the published format is that of every file in examples/explorations', async () => {
  for (const name of readdirSync(FOLDER)) {
    const { post } = await testApp();
    const response = await post('/v1/explorations', { scenario: load(name) });
    assert.equal(response.statusCode, 202, `${name}: ${response.body}`);
  }
});

test('too many at once are asked to come back later', async () => {
  const { post } = await testApp();
  await post('/v1/explorations', { scenario: SCENARIO });
  await post('/v1/explorations', { scenario: SCENARIO });
  const third = await post('/v1/explorations', { scenario: SCENARIO });
  assertProblem(third, 429, 'quota.explorations');
  assert.ok(Number(third.headers['retry-after']) > 0);
});
