/** Whatever comes in at the edge is answered with a problem document or a result: never a 500, never a hang. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseSpec } from '../../src/cli/spec.ts';
import { UsageError } from '../../src/cli/usage.ts';
import { hostName } from '../../src/server/guards.ts';
import { parseQuery } from '../../src/server/query.ts';
import { testApp } from './support.ts';

const replay = { verbose: 0, numRuns: 150 } as const;

const body = fc.oneof(
  fc.jsonValue(),
  fc.record(
    {
      kind: fc.oneof(fc.constantFrom('kprobe', 'ftrace', 'fentry', 'livepatch'), fc.jsonValue()),
      target: fc.oneof(fc.string(), fc.array(fc.string()), fc.record({ pattern: fc.string() }), fc.jsonValue()),
      options: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
      program: fc.jsonValue(),
    },
    { requiredKeys: [] },
  ),
);

test('any JSON body is a 201, or a problem below 500', async () => {
  const { post } = await testApp();
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom('/v1/attachments', '/v1/plans', '/v1/image/reset'), async (value, url) => {
      const response = await post(url, url === '/v1/plans' ? { steps: [{ attach: value }] } : value);
      assert.ok(response.statusCode < 500, response.body);
      if (response.statusCode >= 400) assert.equal(response.json().status, response.statusCode);
    }),
    replay,
  );
});

test('any bytes as a body are a 4xx or a result', async () => {
  const { app } = await testApp();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      const headers = { 'content-type': 'application/json' };
      const response = await app.inject({
        method: 'POST',
        url: '/v1/attachments',
        headers,
        payload: Buffer.from(bytes),
      });
      assert.ok(response.statusCode >= 400 && response.statusCode < 500, response.body);
    }),
    replay,
  );
});

test('any path and query is answered below 500', async () => {
  const { get } = await testApp();
  const path = fc.string({ maxLength: 40 }).map((s) => encodeURI(s).replaceAll('#', '%23'));
  const prefix = fc.constantFrom('/v1/sites/', '/v1/symbols/', '/v1/text?at=', '/v1/symbols?', '/v1/attachments?', '/');
  await fc.assert(
    fc.asyncProperty(prefix, path, async (start, rest) => {
      const response = await get(`${start}${rest}`);
      assert.ok(response.statusCode < 500, `${start}${rest}: ${response.body}`);
    }),
    replay,
  );
});

test('a SPEC is read, or refused with a column inside it', () => {
  const spec = fc.oneof(
    fc.string(),
    fc.tuple(fc.constantFrom('kprobe', 'ftrace', 'fentry', 'kprobe_multi'), fc.string()).map(([k, s]) => `${k}:${s}`),
  );
  fc.assert(
    fc.property(spec, (text) => {
      try {
        parseSpec(text);
      } catch (error) {
        assert.ok(error instanceof UsageError);
        assert.ok(error.column >= 0 && error.column <= text.length);
      }
    }),
  );
});

test('host names and queries of any text do not throw', () => {
  const schema = { properties: { limit: { type: 'integer' }, at: { type: 'string', isPlace: true } } };
  fc.assert(
    fc.property(
      fc.string(),
      fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.array(fc.string()))),
      (text, query) => {
        hostName(text);
        const parsed = parseQuery(schema, query);
        assert.equal(typeof parsed.ok, 'boolean');
      },
    ),
  );
});
