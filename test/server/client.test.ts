/** The typed client against the service, over TCP and a unix socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { currentClientTypes } from '../../scripts/generate-client-types.ts';
import { ok } from '../../src/base/index.ts';
import { type Answer, createClient, type Problem, UnreachableError } from '../../src/client/index.ts';
import { createLogger, parseListen, startService } from '../../src/server/index.ts';
import { createFakeCoordinator } from './coordinator.fake.ts';

async function service(t: TestContext, where: string) {
  const fake = createFakeCoordinator();
  const listen = parseListen(where);
  assert.ok(listen !== undefined);
  const running = await startService({ listen, log: createLogger('silent'), open: async () => ok(fake) });
  await running.opened;
  t.after(() => running.stop('test'));
  return { fake, server: running.address };
}

function value<T>(answer: Answer<T>): T {
  assert.ok(answer.ok, JSON.stringify(answer));
  return answer.value;
}

function problem(answer: Answer<unknown>): Problem {
  assert.ok(!answer.ok);
  return answer.problem;
}

test('the types are those of the published document', async () => {
  const normal = (text: string) =>
    text
      .replace(/\s+/g, '')
      .replace(/([:=(])\|/g, '$1')
      .replaceAll(';}', '}');
  const kept = readFileSync(new URL('../../src/client/types.ts', import.meta.url), 'utf8');
  const isCurrent = normal(kept) === normal(await currentClientTypes());
  assert.ok(isCurrent, 'src/client/types.ts is stale: tsx scripts/generate-client-types.ts rewrites it');
});

test('every call', async (t) => {
  const { server } = await service(t, '127.0.0.1:0');
  const client = createClient({ server, client: 'tester' });
  const attached = value(
    await client.attach({ kind: 'fentry', target: 'tcp_set_state' }, { ifMatch: 0, idempotencyKey: 'k' }),
  );
  assert.equal(attached.client, 'tester');
  assert.equal(value(await client.attachment(attached.id)).enabled, true);
  assert.equal(value(await client.setEnabled(attached.id, false)).enabled, false);
  assert.equal(value(await client.attachments({ kind: 'fentry' })).items.length, 1);
  assert.equal(value(await client.site('tcp_set_state+0x4')).symbol, 'tcp_set_state+0x4');
  assert.equal(value(await client.siteHistory('tcp_set_state+0x4', { limit: 1 })).items.length, 1);
  assert.equal(value(await client.sites({ state: 'patched' })).items.length, 1);
  assert.equal(value(await client.text('tcp_set_state+0x4', 8)).bytes.length, 16);
  assert.equal(value(await client.symbols({ match: 'tcp_*', limit: 1 })).items.length, 1);
  assert.equal(value(await client.symbol('tcp_close')).name, 'tcp_close');
  assert.equal(value(await client.image()).profile, 'max');
  assert.equal(value(await client.audit()).differing, 0);
  assert.equal(value(await client.textMutex()).holder, null);
  assert.equal(value(await client.listing('debugfs/kprobes/list')), 'debug/kprobes/list\n');
  assert.equal(problem(await client.listing('tracefs/touched_functions')).rule, 'view.unknown');
  assert.equal(value(await client.sysctl('kernel.ftrace_enabled')).value, 1);
  assert.equal(value(await client.setSysctl('debug.kprobes-optimization', 1)).value, 1);
  assert.equal(value(await client.plan({ steps: [{ detach: attached.id }] }, '6.6')).kernel, '6.6');
  assert.ok(value(await client.rules()).items.length > 20);
  assert.equal(value(await client.rule('http.schema')).errno, 'EINVAL');
  const session = value(await client.openSession({ ttlMs: 1000 }));
  assert.equal(value(await client.heartbeat(session.id)).session, session.session);
  assert.equal(value(await client.sessions({ limit: 1 })).items.length, 1);
  assert.equal(value(await createClient({ server, session: session.id }).pin(attached.id, true)).pinned, true);
  assert.equal(value(await client.endSession(session.id)).remaining, 0);
  assert.equal(problem(await createClient({ server, session: session.id }).image()).rule, 'sessions.unknown');
  assert.equal(value(await client.detach(attached.id)).verdict, 'detached');
  assert.equal(value(await client.reset(true)).detached, 0);
});

test('refusals are returned', async (t) => {
  const { server } = await service(t, '127.0.0.1:0');
  const client = createClient({ server });
  assert.equal(problem(await client.attach({ kind: 'fentry', target: 'nowhere' })).errno, 'ENOENT');
  assert.equal(problem(await client.events({ after: 99 })).rule, 'events.compacted');
});

test('events, until the caller has enough', async (t) => {
  const { server, fake } = await service(t, '127.0.0.1:0');
  for (let i = 0; i < 5; i++) fake.emit(i % 2 === 0 ? 'poke' : 'attached', { i });
  const client = createClient({ server });
  const seen: string[] = [];
  for await (const event of value(await client.events({ after: 0, types: ['attached'] }))) {
    seen.push(`${event.id} ${event.type}`);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ['2 attached', '4 attached']);
});

test('over a unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { server } = await service(t, `unix:${join(folder, 'k.sock')}`);
  assert.equal(value(await createClient({ server }).image()).release, '6.12.0-fake');
});

test('who is not there, or is not ktextd, is unreachable', async (t) => {
  await assert.rejects(createClient({ server: 'http://127.0.0.1:1' }).image(), UnreachableError);
  await assert.rejects(createClient({ server: 'unix:/nonexistent/k.sock' }).image(), UnreachableError);
  const other = createServer((_request, response) => response.writeHead(404).end('<html>'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => other.close());
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  await assert.rejects(createClient({ server: `127.0.0.1:${address.port}` }).image(), /not ktextd's/);
});
