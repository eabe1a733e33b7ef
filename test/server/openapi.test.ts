/** The published document: as the golden says (SNAP_UPDATE=1 rewrites it), and true of the answers. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import * as answers from '../../src/server/schemas/answers.ts';
import * as text from '../../src/server/schemas/text.ts';
import { FENTRY, testApp } from './support.ts';

const GOLDEN = new URL('./openapi.golden.json', import.meta.url);

async function document(): Promise<Record<string, unknown>> {
  const { app } = await testApp();
  await app.ready();
  return JSON.parse(JSON.stringify(app.swagger())) as Record<string, unknown>;
}

test('the document equals the golden', async () => {
  const now = `${JSON.stringify(await document(), null, 1)}\n`;
  if (process.env['SNAP_UPDATE'] === '1') writeFileSync(GOLDEN, now);
  assert.equal(now, readFileSync(GOLDEN, 'utf8'), 'SNAP_UPDATE=1 rewrites the golden');
});

test('answers fit the schema that is published for them', async () => {
  const { app, get, post } = await testApp();
  const fits = (schema: TSchema, value: unknown) => {
    assert.ok(Schema.Check(schema, value), JSON.stringify(Schema.Errors(schema, value)));
  };
  assert.ok(!Schema.Check(answers.AttachAnswer, { id: 'att_1' }));
  fits(answers.AttachAnswer, (await post('/v1/attachments', FENTRY)).json());
  fits(answers.AttachmentPage, (await get('/v1/attachments')).json());
  fits(answers.AttachmentView, (await get('/v1/attachments/att_1')).json());
  fits(answers.ImageView, (await get('/v1/image')).json());
  fits(text.SymbolPage, (await get('/v1/symbols')).json());
  fits(text.SymbolView, (await get('/v1/symbols/tcp_close')).json());
  fits(text.TextView, (await get('/v1/text?at=f')).json());
  fits(text.SitePage, (await get('/v1/sites')).json());
  fits(text.SiteView, (await get('/v1/sites/f')).json());
  fits(text.BlameView, (await get('/v1/blame/f')).json());
  fits(text.PokePage, (await get('/v1/sites/f/history')).json());
  fits(answers.AuditView, (await get('/v1/audit')).json());
  fits(answers.TextMutexView, (await get('/v1/text-mutex')).json());
  fits(answers.RuleList, (await get('/v1/rules')).json());
  fits(
    answers.PlanAnswer,
    (await post('/v1/plans', { steps: [{ attach: { kind: 'ftrace', target: 'held' } }] })).json(),
  );
  fits(answers.Problem, (await get('/v1/nonsense')).json());
  fits(answers.Problem, (await post('/v1/attachments', {})).json());
  fits(answers.ResetAnswer, (await post('/v1/image/reset', {})).json());
  await post('/v1/attachments', FENTRY);
  fits(answers.DetachAnswer, (await app.inject({ method: 'DELETE', url: '/v1/attachments/att_2' })).json());
});
