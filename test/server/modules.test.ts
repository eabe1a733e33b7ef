/** Modules over HTTP and the command line, against a real kernel image of this project's own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { ok } from '../../src/base/index.ts';
import { run } from '../../src/cli/program.ts';
import { buildApp, createLogger, createServiceState, parseListen, startService } from '../../src/server/index.ts';
import * as answers from '../../src/server/schemas/modules.ts';
import { SymbolView } from '../../src/server/schemas/text.ts';
import { testCoordinator } from '../support/coordinators.ts';
import { builtinImage } from '../support/images.ts';
import { labModule } from '../support/modules.ts';
import { assertProblem, testApp } from './support.ts';

const OCTETS = 'application/octet-stream';

async function realApp() {
  const coordinator = testCoordinator(await builtinImage(), 'safe');
  const state = createServiceState();
  state.setReady(coordinator);
  const app = await buildApp({ state, log: createLogger('silent') });
  const send = (method: 'POST' | 'PATCH' | 'DELETE', url: string, body?: unknown) =>
    app.inject({
      method,
      url,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, payload: JSON.stringify(body) }),
    });
  const load = (file: Uint8Array, query = '') =>
    app.inject({
      method: 'POST',
      url: `/v1/modules${query}`,
      headers: { 'content-type': OCTETS },
      payload: Buffer.from(file),
    });
  return { app, coordinator, send, load, get: (url: string) => app.inject({ method: 'GET', url }) };
}

const fits = (schema: TSchema, value: unknown): void =>
  assert.ok(Schema.Check(schema, value), JSON.stringify(Schema.Errors(schema, value)));

test('a module is loaded, looked at, held and unloaded', async () => {
  const { coordinator, send, load, get } = await realApp();
  const loaded = await load(labModule());
  assert.equal(loaded.statusCode, 201, loaded.body);
  assert.equal(loaded.headers['location'], '/v1/modules/lab');
  fits(answers.ModuleAnswer, loaded.json());
  fits(answers.ModulePage, (await get('/v1/modules')).json());
  const details = (await get('/v1/modules/lab')).json();
  fits(answers.ModuleDetails, details);
  assert.equal(details.state, 'live');
  const text = details.sections.find((section: { name: string }) => section.name === '.text');
  assert.match(text.address, /^0xffffffffd000/);
  const symbol = (await get('/v1/symbols/lab_t1')).json();
  fits(SymbolView, symbol);
  assert.equal(symbol.module, 'lab');
  const attached = await send('POST', '/v1/attachments', { kind: 'fentry', target: 'lab:lab_t1' });
  assert.equal(attached.statusCode, 201, attached.body);
  const kept = assertProblem(await send('DELETE', '/v1/modules/lab'), 503, 'module.in-use');
  assert.equal(kept['errno'], 'EAGAIN');
  assert.equal((kept['holders'] as unknown[]).length, 1);
  assert.deepEqual(coordinator.audit().orphans, []);
  await send('DELETE', `/v1/attachments/${attached.json().id}`);
  assert.equal(coordinator.audit().differing, 0, 'a module’s own text is no difference');
  const probe = await send('POST', '/v1/attachments', { kind: 'kprobe', target: 'lab_t1+0x10' });
  const unloaded = await send('DELETE', '/v1/modules/lab');
  assert.equal(unloaded.statusCode, 200, unloaded.body);
  fits(answers.UnloadAnswer, unloaded.json());
  assert.match((await get('/v1/debugfs/kprobes/list')).body, /\[GONE\]/);
  const enabled = await send('PATCH', `/v1/attachments/${probe.json().id}`, { enabled: false });
  assert.equal(enabled.statusCode, 200, 'disabling what is GONE does nothing');
  assertProblem(await send('PATCH', `/v1/attachments/${probe.json().id}`, { enabled: true }), 422, 'kprobe.gone');
  assert.equal((await send('DELETE', `/v1/attachments/${probe.json().id}`)).statusCode, 200);
  assertProblem(await get('/v1/modules/lab'), 404, 'module.unknown');
  assert.deepEqual([coordinator.audit().differing, coordinator.audit().orphans], [0, []]);
  const events = coordinator.eventsAfter(0, 1000).filter(({ type }) => type === 'module');
  assert.deepEqual(
    events.map(({ data }) => data['state']),
    ['live', 'gone'],
  );
});

test('its life can be stopped before and after its own functions run', async () => {
  const { send, load, get } = await realApp();
  assert.equal((await load(gzipSync(labModule()), '?until=coming')).json().state, 'coming');
  assert.equal((await get('/v1/symbols/lab_init')).statusCode, 200);
  assertProblem(await send('DELETE', '/v1/modules/lab'), 409, 'module.not-live');
  assert.equal((await send('PATCH', '/v1/modules/lab', { state: 'live' })).json().state, 'live');
  assert.equal((await get('/v1/symbols/lab_init')).statusCode, 404);
  assert.equal((await send('PATCH', '/v1/modules/lab', { state: 'going' })).json().state, 'going');
  assertProblem(await load(labModule()), 409, 'module.exists');
  assert.equal((await send('DELETE', '/v1/modules/lab')).statusCode, 200);
});

test('a reset of everything unloads modules', async () => {
  const { coordinator, send, load, get } = await realApp();
  await load(labModule());
  await send('POST', '/v1/attachments', { kind: 'kprobe', target: 'lab_t1' });
  assert.equal((await send('POST', '/v1/image/reset?all=true', {})).statusCode, 200);
  assert.deepEqual((await get('/v1/modules')).json().items, []);
  assert.deepEqual([coordinator.audit().differing, coordinator.audit().orphans], [0, []]);
});

test('a plan decides on functions of loaded modules', async () => {
  const { send, load } = await realApp();
  await load(labModule());
  const steps = [
    { attach: { kind: 'livepatch', target: 'lab:lab_t1' } },
    { attach: { kind: 'ftrace_direct', target: 'lab_t1' } },
  ];
  const plan = (await send('POST', '/v1/plans', { steps })).json();
  assert.deepEqual(
    plan.steps.map(({ verdict, errno }: { verdict: string; errno?: string }) => errno ?? verdict),
    ['attached', 'EBUSY'],
  );
});

test('functions of modules are called, with their data, whoever is attached; when a module goes, so does its memory', async () => {
  const { coordinator, send, load } = await realApp();
  const call = async (name: string, args: readonly string[]) => {
    const answer = (await send('POST', '/v1/calls', { function: name, args })).json();
    return {
      value: answer.returnValue,
      fired: answer.fired?.map(({ kind }: { kind: string }) => kind),
      rule: answer.rule,
    };
  };
  const word = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;
  // In between it is unloaded: the machine does not keep what was there when it was made.
  for (const round of [1, 2]) {
    assert.equal((await load(labModule())).statusCode, 201);
    const ids: string[] = [];
    for (const kind of ['fentry', 'kretprobe', 'kprobe'])
      ids.push((await send('POST', '/v1/attachments', { kind, target: 'lab:lab_t6' })).json().id);
    const { value, fired } = await call('lab:lab_t6', ['1', '2', '3', '4', '5', '6']);
    assert.equal(value, word(21), `round ${round}`);
    assert.deepEqual([...fired].sort(), ['fentry', 'kprobe', 'kretprobe']);
    assert.deepEqual((await call('lab_jl', ['7'])).value, word(8));
    const key = (await send('POST', '/v1/attachments', { kind: 'jump_label', target: 'lab:lab_key' })).json().id;
    assert.deepEqual((await call('lab_jl', ['7'])).value, word(14));
    assert.deepEqual((await call('lab_sct', ['7'])).value, word(15));
    for (const id of [...ids, key]) assert.equal((await send('DELETE', `/v1/attachments/${id}`)).statusCode, 200);
    assert.equal((await send('DELETE', '/v1/modules/lab')).statusCode, 200);
    assert.equal((await call('lab_jl', ['7'])).rule, 'place.unknown');
    assert.equal((await call('tcp_set_state', ['0', '1'])).rule, undefined, 'the kernel itself goes on');
  }
  await coordinator.close();
});

test('what is no module is told by section and offset; other bodies are refused', async () => {
  const { app, load } = await realApp();
  const broken = assertProblem(await load(labModule().subarray(0, 900)), 422, 'module.malformed');
  assert.match(String(broken['detail']), /ELF header at offset 0x/);
  assertProblem(await load(new Uint8Array(0)), 400, 'http.schema');
  const json = { 'content-type': 'application/json' };
  assertProblem(
    await app.inject({ method: 'POST', url: '/v1/modules', headers: json, payload: '{"path":"/x"}' }),
    415,
    'http.content-type',
  );
  assertProblem(
    await app.inject({ method: 'POST', url: '/v1/attachments', headers: { 'content-type': OCTETS }, payload: 'x' }),
    415,
    'http.content-type',
  );
});

test('loading needs the role admin', async () => {
  const { app } = await testApp({ tokens: 'user tok-attach-00000000000003 attach\n' });
  const headers = { 'content-type': OCTETS, authorization: 'Bearer tok-attach-00000000000003' };
  assertProblem(await app.inject({ method: 'POST', url: '/v1/modules', headers, payload: 'x' }), 403, 'http.role');
});

test('the command line loads, lists and unloads', async (t) => {
  const coordinator = testCoordinator(await builtinImage(), 'safe');
  const listen = parseListen('127.0.0.1:0');
  assert.ok(listen !== undefined);
  const service = await startService({ listen, log: createLogger('silent'), open: async () => ok(coordinator) });
  await service.opened;
  t.after(() => service.stop('test'));
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'lab.ko');
  writeFileSync(file, labModule());
  const ktextd = async (line: string) => {
    let out = '';
    const write = (text: string): void => {
      out += text;
    };
    const code = await run(line.split(' '), { out: write, err: write, env: { KTEXTD_SERVER: service.address } }, '1');
    return { code, out };
  };
  assert.match((await ktextd(`module load ${file}`)).out, /^lab {2}live {2}\d+ bytes/);
  assert.match((await ktextd('module ls')).out, /^lab {2}live/);
  assert.equal((await ktextd('attach fentry:lab:lab_t1')).code, 0);
  assert.match((await ktextd('module unload lab')).out, /EAGAIN/);
  assert.equal((await ktextd('detach att_x')).code, 1);
  assert.equal((await ktextd(`module load ${join(folder, 'none.ko')}`)).code, 2);
});
