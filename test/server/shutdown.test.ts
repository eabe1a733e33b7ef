/** Start and stop over real sockets: listening before the image is there, unix sockets, shutdown with everything open. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, createServer as createHttpServer, type IncomingMessage, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { err, ok, systemClock } from '../../src/base/index.ts';
import { createEventHub } from '../../src/server/event-hub.ts';
import { createLogger, ListenError, parseListen, type StartOptions, startService } from '../../src/server/index.ts';
import { createFakeCoordinator } from './coordinator.fake.ts';
import { readEvents } from './event-reader.ts';
import { FENTRY } from './support.ts';

async function start(listen: string, more: Partial<StartOptions> = {}) {
  const fake = createFakeCoordinator();
  const address = parseListen(listen);
  assert.ok(address !== undefined);
  const service = await startService({
    listen: address,
    log: createLogger('silent'),
    open: async () => ok(fake),
    ...more,
  });
  return { fake, service };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function send(base: string, method: string, path: string, body?: unknown, agent?: Agent): Promise<Answer> {
  const target = base.startsWith('unix:')
    ? { socketPath: base.slice(5), path, headers: { host: 'localhost', 'content-type': 'application/json' } }
    : { host: '127.0.0.1', port: new URL(base).port, path, headers: { 'content-type': 'application/json' } };
  return new Promise((resolve, reject) => {
    const client = request({ ...target, method, ...(agent === undefined ? {} : { agent }) }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    client.on('error', reject);
    client.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test('it listens before the image is loaded', async () => {
  const fake = createFakeCoordinator();
  let finish = () => {};
  const loaded = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { service } = await start('127.0.0.1:0', {
    open: async (onProgress) => {
      onProgress({ step: 'kallsyms', done: 1, total: 2 });
      await loaded;
      return ok(fake);
    },
  });
  assert.match((await send(service.address, 'GET', '/readyz')).body, /kallsyms, 1 of 2/);
  finish();
  await service.opened;
  assert.equal((await send(service.address, 'GET', '/readyz')).status, 200);
  await service.stop('test');
});

test('a load that fails is reported, and the service can still be stopped', async () => {
  const fault = { errno: 'EINVAL', rule: 'image.malformed', detail: 'cut short' } as const;
  const { service } = await start('127.0.0.1:0', { open: async () => err(fault) });
  assert.equal((await service.opened).ok, false);
  assert.match((await send(service.address, 'GET', '/readyz')).body, /cut short/);
  await service.stop('test');
});

test('a loader that throws is a failed load', async () => {
  const { service } = await start('127.0.0.1:0', { open: () => Promise.reject(new Error('bug')) });
  const opened = await service.opened;
  assert.ok(!opened.ok);
  assert.equal(opened.fault.rule, 'service.internal');
  assert.match((await send(service.address, 'GET', '/readyz')).body, /service\.failed/);
  await service.stop('test');
});

test('shutdown with a request in flight, a keep-alive connection, a fresh connection and event streams open', async () => {
  const { service, fake } = await start('127.0.0.1:0');
  await service.opened;
  const port = Number(new URL(service.address).port);
  const agent = new Agent({ keepAlive: true });
  assert.equal((await send(service.address, 'GET', '/healthz', undefined, agent)).status, 200);
  const fresh = connect(port, '127.0.0.1');
  await new Promise((resolve) => fresh.once('connect', resolve));
  fresh.on('error', () => {});
  const reader = await readEvents(`${service.address}/v1/events`);
  const release = fake.holdAttach();
  const attaching = send(service.address, 'POST', '/v1/attachments', FENTRY);
  while (fake.callers.length === 0) await new Promise((resolve) => setImmediate(resolve));

  const began = performance.now();
  const stopped = service.stop('test');
  await reader.ended;
  assert.equal(reader.events.at(-1)?.event, 'error');
  assert.equal(reader.events.at(-1)?.data['rule'], 'service.stopping');
  assert.equal(fake.isClosed(), false);
  release();
  const answer = await attaching;
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.connection, 'close');
  await stopped;
  assert.equal(fake.isClosed(), true);
  assert.ok(performance.now() - began < 3000, `stopping took ${performance.now() - began} ms`);
  await assert.rejects(send(service.address, 'GET', '/healthz'), /ECONNREFUSED/);
  agent.destroy();
  fresh.destroy();
});

test('a request on an open connection while stopping is a 503 with Connection: close, and was not begun', async () => {
  const { service, fake } = await start('127.0.0.1:0');
  await service.opened;
  const release = fake.holdAttach();
  const open = connect(Number(new URL(service.address).port), '127.0.0.1');
  await new Promise((resolve) => open.once('connect', resolve));
  const inFlight = send(service.address, 'POST', '/v1/attachments', FENTRY);
  while (fake.callers.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const stopped = service.stop('test');
  const answered = new Promise<string>((resolve) => open.once('data', (chunk) => resolve(String(chunk))));
  open.write(
    'POST /v1/image/reset HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  );
  const text = await answered;
  assert.match(text, /^HTTP\/1\.1 503/);
  assert.match(text, /connection: close/i);
  assert.match(text, /"rule":"service\.stopping"/);
  assert.equal(fake.callers.length, 1);
  release();
  assert.equal((await inFlight).status, 201);
  await stopped;
});

test('a request whose body is still on its way while stopping has its 503 when all of it is there, on a connection that is not reset', async () => {
  const { service } = await start('127.0.0.1:0');
  await service.opened;
  const open = connect(Number(new URL(service.address).port), '127.0.0.1');
  await new Promise((resolve) => open.once('connect', resolve));
  const stopped = service.stop('test');
  let text = '';
  open.on('data', (chunk) => {
    text += chunk;
  });
  const ended = new Promise<void>((resolve, reject) => open.once('end', resolve).once('error', reject));
  open.write(
    'POST /v1/attachments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{}',
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(text, '', 'an answer before the body was there');
  open.write('  ');
  await ended;
  assert.match(text, /^HTTP\/1\.1 503/);
  assert.match(text, /connection: close/i);
  await stopped;
});

test('a reader of events that was let in before the service stops, and has its turn after it, is told why its stream ends', async () => {
  const hub = createEventHub(systemClock);
  hub.start(createFakeCoordinator());
  const server = createHttpServer((_request, response) => {
    hub.stop();
    response.writeHead(200, { 'content-type': 'text/event-stream', connection: 'close' });
    hub.add(response, 0, undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const reader = await readEvents(`http://127.0.0.1:${address.port}/`);
  await reader.ended;
  assert.equal(reader.events.at(-1)?.data['rule'], 'service.stopping');
  assert.equal(hub.readers, 0);
  server.close();
});

test('a reader that reads nothing and a command that never ends do not hold up shutdown beyond its bound', async () => {
  const { service, fake } = await start('127.0.0.1:0');
  await service.opened;
  const stuck = connect(Number(new URL(service.address).port), '127.0.0.1');
  stuck.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => stuck.once('data', resolve));
  stuck.pause();
  stuck.on('error', () => {});
  for (let i = 0; i < 3000; i++) fake.emit('poke', { pad: 'x'.repeat(1000) });
  fake.holdAttach();
  const hanging = send(service.address, 'POST', '/v1/attachments', FENTRY).catch(() => undefined);
  while (fake.callers.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const began = performance.now();
  await service.stop('test');
  assert.ok(performance.now() - began < 5000);
  await hanging;
  stuck.destroy();
});

const folder = (t: TestContext): string => {
  const path = mkdtempSync(join(tmpdir(), 'ktextd-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

test('a unix socket is 0600, and is gone after the stop', async (t) => {
  const path = join(folder(t), 'k.sock');
  const { service } = await start(`unix:${path}`);
  await service.opened;
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal((await send(service.address, 'GET', '/v1/image')).status, 200);
  await assert.rejects(start(`unix:${path}`), (error) => error instanceof ListenError && /in use/.test(error.message));
  await service.stop('test');
  assert.equal(existsSync(path), false);
});

test('a socket that a dead process left is replaced; a file that is none is not', async (t) => {
  const dir = folder(t);
  const file = join(dir, 'file');
  writeFileSync(file, 'precious');
  await assert.rejects(start(`unix:${file}`), /is not a socket/);
  const path = join(dir, 'stale.sock');
  const dead = createServer();
  await new Promise<void>((resolve) => dead.listen(path, resolve));
  // Closing without Node's own unlink: rename the path away and back.
  const { renameSync } = await import('node:fs');
  renameSync(path, `${path}.kept`);
  await new Promise((resolve) => dead.close(resolve));
  renameSync(`${path}.kept`, path);
  const { service } = await start(`unix:${path}`);
  assert.equal((await send(service.address, 'GET', '/healthz')).status, 200);
  await service.stop('test');
});

test('what is no HTTP, or has no Host, is answered with a problem', async () => {
  const { service } = await start('127.0.0.1:0');
  const raw = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(Number(new URL(service.address).port), '127.0.0.1', () => socket.write(text));
      let all = '';
      socket.on('data', (chunk) => {
        all += chunk;
      });
      socket.on('close', () => resolve(all));
    });
  const noHost = await raw('GET /v1/image HTTP/1.1\r\nConnection: close\r\n\r\n');
  assert.match(noHost, /^HTTP\/1\.1 403 (?:.|\n|\r)*application\/problem\+json(?:.|\n|\r)*"rule":"http\.host"/);
  const noise = await raw('NOISE\r\n\r\n');
  assert.match(noise, /^HTTP\/1\.1 400 (?:.|\n|\r)*application\/problem\+json(?:.|\n|\r)*"rule":"http\.malformed"/);
  const long = await raw(`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  assert.match(long, /^HTTP\/1\.1 431 (?:.|\n|\r)*"status":431/);
  await service.stop('test');
});

test('beyond loopback only with tokens', async () => {
  await assert.rejects(start('0.0.0.0:0'), /needs --token-file/);
});

test('a port in use is a one-line error', async () => {
  const { service } = await start('127.0.0.1:0');
  const port = new URL(service.address).port;
  await assert.rejects(
    start(`127.0.0.1:${port}`),
    (error) => error instanceof ListenError && /EADDRINUSE/.test(error.message),
  );
  await service.stop('test');
});
