/** `ktextd serve` as a person meets it: a real process, real sockets, real signals. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from '../../src/client/index.ts';
import { readEvents } from '../server/event-reader.ts';
import { serve, start, temporaryFolder } from './process.ts';

const shell = async (line: string, env: Record<string, string> = {}): Promise<string> =>
  (await promisify(execFile)('sh', ['-c', line], { env: { ...process.env, ...env } })).stdout;

const curlLines = (out: string): readonly string[] => [...out.matchAll(/^ {2}(curl .*)$/gm)].map((m) => m[1] ?? '');

test('it says what it loaded and where it listens, and the three curl lines work as printed', async (t) => {
  const service = await serve(t);
  assert.match(service.out(), /^loaded {3}\S+ \(builtin\) in [\d,]+ ms/m);
  assert.match(service.out(), /[\d,]+ symbols, [\d,]+ functions, [\d,]+ ftrace sites/);
  const [symbol, attach, site] = curlLines(service.out());
  assert.equal(JSON.parse(await shell(String(symbol))).name, 'tcp_set_state');
  const attached = JSON.parse(await shell(String(attach)));
  assert.equal(attached.verdict, 'attached', JSON.stringify(attached));
  assert.equal(JSON.parse(await shell(String(site))).owners[0].attachment, attached.id);
  const client = createClient({ server: service.address });
  const detached = await client.detach(attached.id);
  assert.ok(detached.ok);
  const audit = await client.audit();
  assert.ok(audit.ok && audit.value.differing === 0 && audit.value.orphans.length === 0);
});

test('standard output is for people, standard error has JSON lines by room', async (t) => {
  const service = await serve(t);
  const attached = await createClient({ server: service.address }).attach({ kind: 'kprobe', target: 'tcp_set_state' });
  assert.ok(attached.ok, JSON.stringify(attached));
  service.child.kill('SIGTERM');
  const { err } = await service.finished;
  const lines = err
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly room: string; readonly msg: string });
  assert.deepEqual(
    lines.map((l) => `${l.room} ${l.msg}`),
    ['server started', 'coordinator ready', 'coordinator attached', 'server stopping', 'server stopped'],
  );
  assert.doesNotMatch(service.out(), /\{"level"/);
});

test('SIGTERM with an event stream and a keep-alive connection open: a last event, exit 0', async (t) => {
  const service = await serve(t, ['--log-level', 'silent']);
  const reader = await readEvents(`${service.address}/v1/events`);
  const idle = connect(Number(new URL(service.address).port), '127.0.0.1');
  idle.on('error', () => {});
  idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => idle.once('data', resolve));
  const began = performance.now();
  service.child.kill('SIGTERM');
  const { code } = await service.finished;
  assert.equal(code, 0);
  assert.ok(performance.now() - began < 5000);
  await reader.ended;
  assert.equal(reader.events.at(-1)?.data['rule'], 'service.stopping');
});

test('a request that never ends does not hold up the exit beyond 5 s; a second signal ends it at once', async (t) => {
  const half =
    'POST /v1/image/reset HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{';
  for (const isTwice of [false, true]) {
    const service = await serve(t, ['--log-level', 'silent']);
    const stuck = connect(Number(new URL(service.address).port), '127.0.0.1');
    stuck.on('error', () => {});
    await new Promise<void>((resolve) => stuck.write(half, () => resolve()));
    await createClient({ server: service.address }).image();
    const began = performance.now();
    service.child.kill('SIGTERM');
    if (isTwice) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      service.child.kill('SIGINT');
    }
    const { code } = await service.finished;
    const tookMs = performance.now() - began;
    assert.equal(code, isTwice ? 130 : 0);
    assert.ok(isTwice ? tookMs < 1500 : tookMs < 5000, `${tookMs} ms`);
    stuck.destroy();
  }
});

test('a unix socket with tokens: 0600, and the curl lines still work', async (t) => {
  const folder = temporaryFolder(t);
  const tokens = join(folder, 'tokens');
  const token = 'e2e-secret-e2e-secret';
  writeFileSync(tokens, `tester ${token}\n`);
  const path = join(folder, 'k.sock');
  const running = start(t, ['serve', '--listen', `unix:${path}`, '--token-file', tokens, '--log-level', 'trace']);
  await running.until(/try next:\n(?: {2}curl .*\n){3}/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [symbol] = curlLines(running.out());
  assert.equal(JSON.parse(await shell(String(symbol))).rule, 'http.token');
  assert.equal(JSON.parse(await shell(String(symbol), { KTEXTD_TOKEN: token })).name, 'tcp_set_state');
  running.child.kill('SIGINT');
  const { code, out, err } = await running.finished;
  assert.equal(code, 0);
  assert.ok(!(out + err).includes(token));
});

test('an image that cannot be read: one line, exit status 1', async (t) => {
  const { code, err } = await start(t, [
    'serve',
    '--image',
    '/nonexistent/vmlinuz',
    '--listen',
    '127.0.0.1:0',
    '--log-level',
    'silent',
  ]).finished;
  assert.equal(code, 1);
  assert.match(err, /^[A-Z]+: .*nonexistent/);
});

test('the command line is a client of it', async (t) => {
  const service = await serve(t, ['--log-level', 'silent']);
  const env = { KTEXTD_SERVER: service.address };
  const ktextd = (...args: string[]) => start(t, args, env).finished;
  const attached = await ktextd('attach', 'kprobe:tcp_set_state', '--post-handler', '--json');
  assert.equal(attached.code, 0, attached.err);
  assert.match((await ktextd('ls')).out, /kprobe {2}cli/);
  const refused = await ktextd('attach', 'ftrace:tcp_set_state', '--ipmodify');
  assert.equal(refused.code, 1, refused.out);
  assert.match(refused.err, /^EBUSY: /);
  assert.match(refused.err, new RegExp(`held by {3}${JSON.parse(attached.out).id} \\(kprobe\\) of cli`));
  assert.equal((await ktextd('attach', 'kprobe:no_such_function')).code, 1);
  assert.equal((await ktextd('audit')).code, 0);
  assert.equal((await ktextd('detach', JSON.parse(attached.out).id)).code, 0);
  service.child.kill('SIGTERM');
  await service.finished;
  assert.equal((await ktextd('ls')).code, 3);
});

test('SIGHUP: tokens are read again, and a faulty file changes nothing', async (t) => {
  const file = join(temporaryFolder(t), 'tokens');
  const lines = ['first one-token-of-16-or-more admin', 'second another-token-of-16 read'];
  writeFileSync(file, `${lines[0]}\n`);
  const running = await serve(t, ['--token-file', file]);
  const status = async (token: string): Promise<number> =>
    (await fetch(`${running.address}/v1/image`, { headers: { authorization: `Bearer ${token}` } })).status;
  const hangUp = async (told: RegExp): Promise<void> => {
    running.child.kill('SIGHUP');
    for (let i = 0; i < 200 && !told.test(running.err()); i++) await new Promise((resolve) => setTimeout(resolve, 25));
    assert.match(running.err(), told);
  };
  assert.deepEqual([await status('one-token-of-16-or-more'), await status('another-token-of-16')], [200, 401]);
  writeFileSync(file, `${lines[1]}\n`);
  await hangUp(/1 tokens read/);
  assert.deepEqual([await status('one-token-of-16-or-more'), await status('another-token-of-16')], [401, 200]);
  writeFileSync(file, 'nonsense\n');
  await hangUp(/stay as they were/);
  assert.deepEqual([await status('one-token-of-16-or-more'), await status('another-token-of-16')], [401, 200]);
  assert.doesNotMatch(running.err() + running.out(), /token-of-16/);
});
