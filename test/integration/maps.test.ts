/** BPF maps over HTTP, with the real coordinator on the built-in kernel. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ok, seededPrng, systemClock } from '../../src/base/index.ts';
import { createClient } from '../../src/client/index.ts';
import {
  type CallAnswer,
  createCoordinator,
  type MapEntryView,
  type MapRecords,
  type MapView,
  type Page,
  type Problem,
  type ProgramRunAnswer,
  type ProgramView,
} from '../../src/coordinator/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import { atomicAdd, COUNT_AND_SEND, call, EXIT, load64, mapValue, movImm, program } from '../support/bpf-code.ts';
import { builtinImage } from '../support/images.ts';

let service: RunningService;

before(async () => {
  const image = await builtinImage();
  service = await startService({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    log: createLogger('silent'),
    open: async () => ok(createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) })),
  });
});
after(() => service.stop('the test ends'));

async function ask<T>(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly body: T & Problem }> {
  const response = await fetch(`${service.address}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T & Problem };
}

async function create(request: object): Promise<MapView> {
  const { status, body } = await ask<MapView>('POST', '/v1/maps', { name: 'm', maxEntries: 4, ...request });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

const key = (n: number): string => `${n.toString(16).padStart(2, '0')}000000`;

describe('maps over HTTP', () => {
  it('are made, listed, written, read page by page and deleted', async () => {
    const { id, number, memory, type } = await create({ type: 'hash', valueSize: 2 });
    assert.ok(number > 0 && memory.reserved >= 8192 && type === 'hash');
    for (let n = 0; n < 4; n++) {
      const { status, body } = await ask<MapEntryView>('POST', `/v1/maps/${id}/entries`, {
        key: key(n),
        value: `0${n}ff`,
      });
      assert.deepEqual([status, body.value], [200, `0${n}ff`]);
    }
    const full = await ask('POST', `/v1/maps/${id}/entries`, { key: key(9), value: '0000' });
    assert.deepEqual([full.status, full.body.errno, full.body.rule], [409, 'E2BIG', 'bpf.map.element']);
    const exists = await ask('POST', `/v1/maps/${id}/entries`, { key: key(1), value: '0000', flags: 1 });
    assert.deepEqual([exists.status, exists.body.errno], [409, 'EEXIST']);
    const short = await ask('POST', `/v1/maps/${id}/entries`, { key: '00', value: '0000' });
    assert.deepEqual([short.status, short.body.rule], [422, 'map.sizes']);

    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await ask<Page<MapEntryView>>('GET', `/v1/maps/${id}/entries?limit=3${cursor}`);
      seen.push(...body.items.map((entry) => `${entry.key}=${entry.value}`));
      cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`;
    } while (cursor !== '');
    assert.deepEqual(
      seen.sort(),
      [0, 1, 2, 3].map((n) => `${key(n)}=0${n}ff`),
    );

    assert.equal((await ask<MapEntryView>('GET', `/v1/maps/${id}/entries/${key(2)}`)).body.value, '02ff');
    assert.equal((await ask('DELETE', `/v1/maps/${id}/entries/${key(2)}`)).status, 200);
    assert.deepEqual((await ask('GET', `/v1/maps/${id}/entries/${key(2)}`)).body.errno, 'ENOENT');
    const listed = await ask<Page<MapView>>('GET', '/v1/maps');
    assert.ok(listed.body.items.some((map) => map.id === id));
    assert.equal((await ask('DELETE', `/v1/maps/${id}`)).status, 200);
    assert.deepEqual((await ask('GET', `/v1/maps/${id}`)).status, 404);
  });

  it('have a value for each CPU where the type says so', async () => {
    const { id, cpus } = await create({ type: 'percpu_array', valueSize: 1 });
    assert.equal(cpus, 4);
    const values = ['01', '02', '03', '04'];
    const { body } = await ask<MapEntryView>('POST', `/v1/maps/${id}/entries`, { key: key(1), values });
    assert.deepEqual([body.value, body.values], [null, values]);
    const entries = await ask<Page<MapEntryView>>('GET', `/v1/maps/${id}/entries`);
    assert.deepEqual(entries.body.items[0]?.values, ['00', '00', '00', '00']);
    await ask('POST', `/v1/maps/${id}/entries`, { key: key(0), value: '09' });
    const one = await ask<MapEntryView>('GET', `/v1/maps/${id}/entries/${key(0)}`);
    assert.deepEqual(one.body.values, ['09', '09', '09', '09']);
  });

  it('are refused by what bpf(2) refuses, and by what a client may have', async () => {
    const refused = async (request: object): Promise<readonly [number, string, string]> => {
      const { status, body } = await ask('POST', '/v1/maps', { name: 'm', maxEntries: 4, ...request });
      return [status, body.errno, body.rule];
    };
    assert.deepEqual(await refused({ type: 'array', keySize: 8 }), [422, 'EINVAL', 'bpf.map.attributes']);
    assert.deepEqual(await refused({ type: 'ringbuf', maxEntries: 5000 }), [422, 'EINVAL', 'bpf.map.attributes']);
    assert.deepEqual(await refused({ type: 'hash', valueSize: 4 << 20 }), [422, 'E2BIG', 'bpf.map.attributes']);
    assert.deepEqual(await refused({ type: 'ringbuf', maxEntries: 1 << 26 }), [422, 'ENOMEM', 'map.limit']);
    assert.equal((await refused({ type: 'devmap' }))[0], 400);
    const large: string[] = [];
    for (;;) {
      const { status, body } = await ask<MapView>('POST', '/v1/maps', {
        name: 'm',
        type: 'ringbuf',
        maxEntries: 1 << 24,
      });
      if (status !== 201) {
        assert.equal(body.rule, 'map.limit');
        break;
      }
      large.push(body.id);
    }
    assert.ok(large.length >= 3);
    for (const id of large) assert.equal((await ask('DELETE', `/v1/maps/${id}`)).status, 200);
  });

  it('hold constants that are frozen, and programs until those are unloaded', async () => {
    const rodata = await create({
      type: 'array',
      maxEntries: 1,
      valueSize: 8,
      flags: 128,
      initial: '2a',
      frozen: true,
    });
    assert.deepEqual(rodata.flags, ['BPF_F_RDONLY_PROG']);
    const frozen = await ask('POST', `/v1/maps/${rodata.id}/entries`, { key: key(0), value: '00'.repeat(8) });
    assert.deepEqual([frozen.status, frozen.body.rule], [403, 'bpf.map.access']);
    const programs = await create({ type: 'prog_array' });
    // r0 = map value 0; r0 = *(u8 *)r0; exit: what fmod_ret alone may answer
    const bytecode = '18600000000000000000000000000000' + '7100000000000000' + '9500000000000000';
    const loaded = await ask<ProgramView>('POST', '/v1/programs', { type: 'fmod_ret', bytecode, maps: [rodata.id] });
    assert.deepEqual([loaded.status, loaded.body.maps], [201, [rodata.id]]);
    const held = await ask('DELETE', `/v1/maps/${rodata.id}`);
    assert.deepEqual([held.status, held.body.rule], [409, 'map.in-use']);
    const program = loaded.body.id;
    const set = await ask<MapEntryView>('POST', `/v1/maps/${programs.id}/entries`, { key: key(2), program });
    assert.deepEqual([set.status, set.body.program], [200, program]);
    assert.equal((await ask('DELETE', `/v1/programs/${program}`)).status, 200);
    const left = await ask<Page<MapEntryView>>('GET', `/v1/maps/${programs.id}/entries`);
    assert.deepEqual(left.body.items, []);
  });

  it('that are rings wait for a record as long as asked', async () => {
    const { id } = await create({ type: 'ringbuf', maxEntries: 4096 });
    const began = performance.now();
    const { body } = await ask<MapRecords>('GET', `/v1/maps/${id}/records?waitMs=200`);
    assert.deepEqual(body.records, []);
    assert.ok(performance.now() - began >= 190);
    const hash = await create({ type: 'hash' });
    assert.equal((await ask('GET', `/v1/maps/${hash.id}/records`)).body.rule, 'bpf.map.element');
  });

  it('go with a reset, and are what the client says', async () => {
    const client = createClient({ server: service.address });
    const made = await client.createMap({ name: 'counts', type: 'lru_hash', maxEntries: 2 });
    assert.ok(made.ok);
    const { id } = made.value;
    assert.ok((await client.updateMapEntry(id, { key: key(1), value: key(7) })).ok);
    const page = await client.mapEntries(id);
    assert.ok(page.ok);
    assert.deepEqual(
      page.value.items.map((entry) => entry.value),
      [key(7)],
    );
    assert.ok((await client.reset()).ok);
    const none = await client.maps();
    assert.ok(none.ok);
    assert.deepEqual(none.value.items, []);
  });
});

describe('maps of an attached program', () => {
  it("hold what it wrote when the function was called, beside another client's kprobe", async () => {
    const counts = await create({ type: 'hash', keySize: 8, valueSize: 8 });
    const ring = await create({ type: 'ringbuf', maxEntries: 4096 });
    const loaded = await ask<ProgramView>('POST', '/v1/programs', {
      type: 'fentry',
      bytecode: COUNT_AND_SEND,
      maps: [counts.id, ring.id],
      attachTo: 'tcp_set_state',
    });
    assert.equal(loaded.status, 201, JSON.stringify(loaded.body));
    const attach = async (body: object): Promise<string> => {
      const made = await ask<{ id: string }>('POST', '/v1/attachments', body);
      assert.equal(made.status, 201, JSON.stringify(made.body));
      return made.body.id;
    };
    const fentry = await attach({ kind: 'fentry', target: 'tcp_set_state', program: loaded.body.id });
    const kprobe = await attach({ kind: 'kprobe', target: 'tcp_set_state' });

    const waiting = ask<MapRecords>('DELETE', `/v1/maps/${ring.id}/records?waitMs=30000`);
    const calls = await Promise.all(
      [7, 7, 1].map((state) =>
        ask<CallAnswer>('POST', '/v1/calls', {
          function: 'tcp_set_state',
          args: [{ buffer: '00'.repeat(256) }, state],
        }),
      ),
    );
    for (const { body } of calls) {
      assert.equal(body.ended, 'returned', JSON.stringify(body.fault));
      assert.deepEqual(new Set(body.fired.map(({ attachment }) => attachment)), new Set([fentry, kprobe]));
    }
    const first = (await waiting).body.records;
    const rest = (await ask<MapRecords>('DELETE', `/v1/maps/${ring.id}/records`)).body.records;
    const words = [...first, ...rest].map(({ bytes }) => Buffer.from(bytes, 'hex').readBigUInt64LE(8));
    assert.deepEqual(words, [7n, 7n, 1n]);
    assert.deepEqual((await ask<MapRecords>('GET', `/v1/maps/${ring.id}/records`)).body, {
      records: [],
      lost: 0,
      available: 0,
    });
    const { body } = await ask<Page<MapEntryView>>('GET', `/v1/maps/${counts.id}/entries`);
    const counted = Object.fromEntries(body.items.map((entry) => [entry.key.slice(0, 2), entry.value?.slice(0, 2)]));
    assert.deepEqual(counted, { '07': '02', '01': '01' });
    for (const id of [kprobe, fentry]) assert.equal((await ask('DELETE', `/v1/attachments/${id}`)).status, 200);
    assert.equal((await ask('DELETE', `/v1/programs/${loaded.body.id}`)).status, 200);
  });

  it('lose nothing when many calls, runs and writes come at once', async () => {
    const counter = await create({ type: 'array', maxEntries: 1, valueSize: 8 });
    const bytecode = program(mapValue(1, 0), movImm(2, 1), atomicAdd(1, 0, 2), movImm(0, 0), EXIT);
    const load = async (type: string): Promise<string> =>
      (await ask<ProgramView>('POST', '/v1/programs', { type, bytecode, maps: [counter.id] })).body.id;
    const [fexit, raw] = [await load('fexit'), await load('raw')];
    await ask('POST', '/v1/attachments', { kind: 'fexit', target: 'vfs_read', program: fexit });
    const calls = Array.from({ length: 12 }, () =>
      ask<CallAnswer>('POST', '/v1/calls', { function: 'vfs_read', args: [], sample: true }),
    );
    const runs = Array.from({ length: 12 }, (_, i) =>
      ask<ProgramRunAnswer>('POST', `/v1/programs/${raw}/runs`, { via: i % 2 === 0 ? 'jit' : 'interpreter' }),
    );
    const answers = await Promise.all([...calls, ...runs]);
    assert.ok(answers.every(({ status }) => status === 200));
    const fired = (await Promise.all(calls)).reduce((sum, { body }) => sum + body.fired.length, 0);
    const { body } = await ask<MapEntryView>('GET', `/v1/maps/${counter.id}/entries/${key(0)}`);
    assert.equal(Buffer.from(body.value ?? '', 'hex').readBigUInt64LE(), BigInt(fired + 12));
    assert.ok(fired >= 12);
    await ask('POST', '/v1/image/reset', {});
  });

  it('are as they were after a run that does not return', async () => {
    const counter = await create({ type: 'array', maxEntries: 1, valueSize: 8 });
    const bytecode = program(mapValue(1, 0), movImm(2, 1), atomicAdd(1, 0, 2), load64(0, 2), EXIT);
    const raw = await ask<ProgramView>('POST', '/v1/programs', { type: 'raw', bytecode, maps: [counter.id] });
    for (const via of ['jit', 'interpreter']) {
      const ran = await ask<ProgramRunAnswer>('POST', `/v1/programs/${raw.body.id}/runs`, { via });
      assert.equal(ran.body.fault?.reason, 'load', via);
    }
    const { body } = await ask<MapEntryView>('GET', `/v1/maps/${counter.id}/entries/${key(0)}`);
    assert.equal(body.value, '00'.repeat(8));
  });

  it('refuse helpers that are not there by their names', async () => {
    const refused = await ask('POST', '/v1/programs', { type: 'fentry', bytecode: program(call(51), EXIT) });
    assert.deepEqual([refused.status, refused.body.rule], [422, 'bpf.verifier']);
    assert.match(refused.body.detail, /bpf_redirect_map#51/);
    const kprobe = await ask('POST', '/v1/programs', { type: 'kprobe', bytecode: program(call(183), EXIT) });
    assert.match(kprobe.body.detail, /cannot use helper bpf_get_func_arg#183/);
  });
});
