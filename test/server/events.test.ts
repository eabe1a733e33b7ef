/** `/v1/events` over real sockets. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { EVENT_LIMITS, type EventLimits } from '../../src/server/event-hub.ts';
import { readEvents } from './event-reader.ts';
import { type TestApp, testApp } from './support.ts';

async function listening(
  t: TestContext,
  eventLimits: EventLimits = EVENT_LIMITS,
): Promise<TestApp & { readonly url: string; readonly port: number }> {
  const running = await testApp({ eventLimits });
  await running.app.listen({ host: '127.0.0.1', port: 0 });
  const address = running.app.server.address();
  assert.ok(typeof address === 'object' && address !== null);
  t.after(() => {
    running.app.services.events.stop();
    running.app.server.closeAllConnections();
    return running.app.close();
  });
  return { ...running, port: address.port, url: `http://127.0.0.1:${address.port}` };
}

test('events carry id, type, sequence, time and data, in order', async (t) => {
  const { url, fake } = await listening(t);
  const reader = await readEvents(`${url}/v1/events`);
  assert.match(String(reader.response.headers['content-type']), /^text\/event-stream/);
  fake.emit('attached', { id: 'att_1', kind: 'fentry' });
  fake.emit('poke', { address: '0x1' });
  const [first, second] = await reader.until(2);
  assert.equal(first?.id, '1');
  assert.equal(first?.event, 'attached');
  assert.deepEqual(first?.data, { sequence: 1, time: '2026-01-01T00:00:00.000Z', id: 'att_1', kind: 'fentry' });
  assert.equal(second?.event, 'poke');
  reader.request.destroy();
});

test('progress is told to those who name it, has no id and takes no number', async (t) => {
  const { url, fake, get } = await listening(t);
  const all = await readEvents(`${url}/v1/events`);
  const named = await readEvents(`${url}/v1/events?types=progress,attached`);
  const told = {
    what: 'updating records',
    done: 256,
    total: 512,
    client: 'me',
    requestId: 'req_1',
    command: 'attach ftrace',
  };
  fake.tellProgress(told);
  fake.emit('attached', { id: 'att_1' });
  const [first, second] = await named.until(2);
  assert.deepEqual([first?.event, first?.id, first?.data], ['progress', undefined, told]);
  assert.deepEqual([second?.event, second?.id], ['attached', '1']);
  assert.deepEqual(
    (await all.until(1)).map((each) => each.event),
    ['attached'],
  );
  assert.equal((await get('/v1/events?types=progres')).statusCode, 400);
  for (const reader of [all, named]) reader.request.destroy();
});

test('Last-Event-ID and after resume without gap or repetition; the header wins', async (t) => {
  const { url, fake } = await listening(t);
  for (let i = 0; i < 500; i++) fake.emit('poke', { i });
  const ids = async (path: string, headers: Record<string, string>, count: number) => {
    const reader = await readEvents(url + path, headers);
    await reader.until(count);
    reader.request.destroy();
    return reader.events.map((e) => Number(e.id));
  };
  const from = (first: number) => Array.from({ length: 500 - first }, (_, i) => first + 1 + i);
  assert.deepEqual(await ids('/v1/events?after=0', {}, 500), from(0));
  assert.deepEqual(await ids('/v1/events', { 'last-event-id': '490' }, 10), from(490));
  assert.deepEqual(await ids('/v1/events?after=0', { 'last-event-id': '499' }, 1), from(499));
});

test('a position that is no longer retained, or not yet reached, is 410', async (t) => {
  const { get, fake } = await listening(t);
  for (let i = 0; i < 10; i++) fake.emit('poke');
  fake.compact(5);
  for (const url of ['/v1/events?after=4', '/v1/events?after=11']) {
    const response = await get(url);
    assert.equal(response.statusCode, 410);
    assert.equal(response.json().rule, 'events.compacted');
  }
  const malformed = await get('/v1/events', { 'last-event-id': 'x' });
  assert.equal(malformed.json().rule, 'http.header');
});

test('types filters', async (t) => {
  const { url, fake } = await listening(t);
  const reader = await readEvents(`${url}/v1/events?types=attached,detached`);
  fake.emit('poke');
  fake.emit('attached');
  fake.emit('poke');
  fake.emit('detached');
  await reader.until(2);
  assert.deepEqual(
    reader.events.map((e) => e.event),
    ['attached', 'detached'],
  );
  reader.request.destroy();
});

test('a heartbeat comes as a comment with the position', async (t) => {
  const { url, fake } = await listening(t, { ...EVENT_LIMITS, heartbeatMs: 20 });
  fake.emit('poke');
  const reader = await readEvents(`${url}/v1/events?types=attached`);
  const text = await new Promise<string>((resolve) => {
    let all = '';
    reader.response.on('data', (chunk: string) => {
      all += chunk;
      if (all.includes(': heartbeat')) resolve(all);
    });
  });
  assert.match(text, /: heartbeat\nid: 1\n/);
  reader.request.destroy();
});

test('a slow reader is dropped with a final error event, others are not disturbed', async (t) => {
  const { port, url, fake, app } = await listening(t, { ...EVENT_LIMITS, lagMax: 200, lingerMs: 50 });
  const slow = connect(port, '127.0.0.1');
  slow.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => slow.once('data', resolve));
  slow.pause();
  const fast = await readEvents(`${url}/v1/events`);
  const closed = new Promise<void>((resolve) => slow.once('close', () => resolve()));
  let sent = 0;
  while (app.services.events.dropped === 0) {
    assert.ok(sent < 100_000, 'the slow reader was never dropped');
    for (let i = 0; i < 100; i++, sent++) fake.emit('poke', { pad: 'x'.repeat(1000) });
    await fast.until(sent);
  }
  assert.equal(app.services.events.readers, 1);
  slow.resume();
  await closed;
  fake.emit('poke');
  await fast.until(sent + 1);
  assert.ok(!fast.events.some((e) => e.event === 'error'));
  fast.request.destroy();
});

test('the final error event of a dropped reader says where to resume', async (t) => {
  const { url, fake, app } = await listening(t, { ...EVENT_LIMITS, lagMax: 50, lingerMs: 5000 });
  const reader = await readEvents(`${url}/v1/events`);
  reader.response.pause();
  for (let sent = 0; app.services.events.dropped === 0; sent += 100) {
    assert.ok(sent < 100_000, 'the slow reader was never dropped');
    for (let i = 0; i < 100; i++) fake.emit('poke', { pad: 'x'.repeat(1000) });
    await new Promise((resolve) => setImmediate(resolve));
  }
  reader.response.resume();
  await reader.ended;
  const last = reader.events.at(-1);
  assert.equal(last?.event, 'error');
  assert.equal(last?.data['rule'], 'events.slow-reader');
  const received = reader.events.at(-2)?.id;
  assert.match(String(last?.data['detail']), new RegExp(`Last-Event-ID ${received}\\.`));
});

test('the number of readers is bounded', async (t) => {
  const { url, get } = await listening(t, { ...EVENT_LIMITS, readersMax: 1 });
  const reader = await readEvents(`${url}/v1/events`);
  const response = await get('/v1/events');
  assert.equal(response.statusCode, 429);
  assert.equal(response.json().rule, 'events.too-many-readers');
  reader.request.destroy();
});
