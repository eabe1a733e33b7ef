/** BPF programs over HTTP, with the real coordinator on the built-in kernel: loaded, listed, run, attached, unloaded. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { ok, seededPrng, systemClock } from '../../src/base/index.ts';
import {
  type AttachAnswer,
  type AuditView,
  type CallAnswer,
  createCoordinator,
  type Problem,
  type ProgramListingView,
  type ProgramRunAnswer,
  type ProgramView,
} from '../../src/coordinator/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import { BPF_VECTORS } from '../conformance/bpf-vectors.ts';
import { builtinImage } from '../support/images.ts';

let service: RunningService;

before(async () => {
  const image = await builtinImage();
  service = await startService({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    log: createLogger('silent'),
    // More than the queue of runs takes.
    requestLimits: { inFlight: 1_000 },
    // Runs are given up by the clock, so it has to go on.
    open: async () => ok(createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) })),
  });
});
after(() => service.stop('the test ends'));

interface Answer<T> {
  readonly status: number;
  readonly body: T & Problem;
}

async function ask<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const response = await fetch(`${service.address}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T & Problem };
}

const EXIT = '9500000000000000';
const RETURN_0 = `b700000000000000${EXIT}`;
const RETURN_7 = `b700000007000000${EXIT}`;
const LOOP = '0500ffff00000000';

async function load(type: string, bytecode: string, more: object = {}): Promise<ProgramView> {
  const { status, body } = await ask<ProgramView>('POST', '/v1/programs', { type, bytecode, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

const run = async (id: string, request: object): Promise<ProgramRunAnswer> =>
  (await ask<ProgramRunAnswer>('POST', `/v1/programs/${id}/runs`, request)).body;

describe('programs over HTTP', () => {
  it('run as the conformance suite says, both ways', async () => {
    const vectors = BPF_VECTORS.filter(({ result }, index) => result !== undefined && index % 16 === 0);
    for (const { name, bytecode, memory, result } of vectors) {
      const { id } = await load('raw', bytecode);
      for (const via of ['jit', 'interpreter']) {
        const { returnValue } = await run(id, { input: memory, via });
        assert.equal(BigInt(returnValue ?? -1), BigInt(result as string), `${name} via ${via}`);
      }
    }
  });

  it('answer what they wrote, why they stopped, and the budget that ended them', async () => {
    // *(u8 *)(r1 + 0) = 0x5a; r0 = 7; exit
    const writes = await load('raw', `72010000${'5a000000'}${RETURN_7}`);
    assert.deepEqual((await run(writes.id, { input: '0102' })).output, '5a02');
    const wild = await load('raw', `7900000000000000${EXIT}`);
    for (const via of ['jit', 'interpreter']) {
      const { returnValue, fault } = await run(wild.id, { via });
      assert.equal(returnValue, null);
      assert.deepEqual([fault?.reason, fault?.instruction], ['load', 0], via);
    }
    const endless = await load('raw', LOOP);
    const counted = await run(endless.id, { maxInstructions: 1000, via: 'interpreter' });
    assert.deepEqual([counted.exceeded, counted.instructions], ['maxInstructions', 1000]);
    const timed = await run(endless.id, { maxInstructions: 1_000_000_000, maxMs: 50 });
    assert.equal(timed.exceeded, 'maxMs');
    assert.equal((await run(writes.id, { input: '00' })).returnValue, '0x7', 'the next run has a thread again');
  });

  it('wait for the thread, and are refused when too many do', async () => {
    const endless = await load('raw', LOOP);
    const request = { maxInstructions: 1_000_000_000, maxMs: 300 };
    const first = run(endless.id, request);
    const quick = await load('raw', RETURN_7);
    const path = `/v1/programs/${quick.id}/runs`;
    const answers = await Promise.all(Array.from({ length: 300 }, () => ask<ProgramRunAnswer>('POST', path, {})));
    const refused = answers.filter(({ status }) => status === 503);
    assert.ok(refused.length > 0 && refused.every(({ body }) => body.rule === 'program.runs-busy'));
    const others = answers.filter(({ status }) => status === 200);
    assert.equal(others.length + refused.length, answers.length);
    assert.ok(others.length >= 256 && others.every(({ body }) => body.returnValue === '0x7'));
    assert.equal((await first).exceeded, 'maxMs');
  });

  it('are listed as BPF and as machine code', async () => {
    const { id, jited, insns } = await load('raw', RETURN_7);
    assert.equal(insns, 2);
    assert.equal(jited.size, jited.bytes.length / 2);
    const xlated = await ask<ProgramListingView>('GET', `/v1/programs/${id}?view=xlated`);
    assert.equal(xlated.body.listing, '   0: (b7) r0 = 7\n   1: (95) exit\n');
    const machine = await ask<ProgramListingView>('GET', `/v1/programs/${id}?view=jited`);
    assert.match(machine.body.listing, /^0xffffffffc0000000: {2}endbr64\n.*mov .*7.*\n.*leave/s);
  });

  it('are refused with the instruction', async () => {
    const { status, body } = await ask('POST', '/v1/programs', { type: 'raw', bytecode: `b700010000000000${EXIT}` });
    assert.deepEqual([status, body.rule, body.index], [422, 'bpf.insn.reserved', 0]);
    const half = await ask('POST', '/v1/programs', { type: 'raw', bytecode: '95' });
    assert.equal(half.status, 400);
    assert.equal((await ask('POST', '/v1/programs/prog_none/runs', {})).status, 404);
  });

  it('become the entry of a link, and go when nobody runs them', async () => {
    const program = await load('fentry', RETURN_0, { attachTo: 'tcp_set_state' });
    const attached = await ask<AttachAnswer>('POST', '/v1/attachments', {
      kind: 'fentry',
      target: 'tcp_set_state',
      program: program.id,
    });
    assert.equal(attached.status, 201, JSON.stringify(attached.body));
    const text = await ask<{ bytes: string }>(
      'GET',
      `/v1/text?at=${program.jited.address}&length=${program.jited.size}`,
    );
    assert.equal(text.body.bytes, program.jited.bytes);
    const again = { kind: 'fentry', target: 'tcp_set_state', program: program.id };
    assert.equal((await ask('POST', '/v1/attachments', again)).body.rule, 'bpf.trampoline.same-program');
    const held = await ask('DELETE', `/v1/programs/${program.id}`);
    assert.deepEqual([held.status, held.body.rule, held.body.holders.length], [409, 'program.in-use', 1]);
    const elsewhere = await ask('POST', '/v1/attachments', { ...again, target: 'vfs_read' });
    assert.equal(elsewhere.body.rule, 'program.type');
    const audit = await ask<AuditView>('GET', '/v1/audit');
    assert.deepEqual(audit.body.orphans, []);
    assert.equal((await ask('DELETE', `/v1/attachments/${attached.body.id}`)).status, 200);
    assert.equal((await ask('DELETE', `/v1/programs/${program.id}`)).status, 200);
    assert.equal((await ask('GET', `/v1/programs/${program.id}`)).status, 404);
  });

  it('decide what a patched function returns, and stay on it alone', async () => {
    const program = await load('fmod_ret', RETURN_7);
    const attach = (target: string) =>
      ask<AttachAnswer>('POST', '/v1/attachments', { kind: 'fmod_ret', target, program: program.id });
    const call = async () =>
      (await ask<CallAnswer>('POST', '/v1/calls', { function: 'bpf_modify_return_test', sample: true })).body;
    const before = await call();
    assert.equal(before.ended, 'returned');
    const attached = await attach('bpf_modify_return_test');
    assert.equal(attached.status, 201, JSON.stringify(attached.body));
    const { returnValue, fired } = await call();
    assert.equal(BigInt(returnValue ?? 0), 7n);
    assert.deepEqual(
      fired.map(({ attachment, args }) => [attachment, args.length > 0]),
      [[attached.body.id, true]],
    );
    const elsewhere = (await attach('security_file_open')).body;
    assert.deepEqual([elsewhere.rule, elsewhere.holders.length], ['program.type', 1]);
    await ask('DELETE', `/v1/attachments/${attached.body.id}`);
    assert.equal((await call()).returnValue, before.returnValue);
  });

  it('are driven by the suite’s plugin', async () => {
    const cli = ['--import', 'tsx', 'src/cli/main.ts', 'bpf-conformance-plugin', '--server', service.address];
    const child = spawn(process.execPath, [...cli, 'ff 00'], { stdio: ['pipe', 'pipe', 'inherit'] });
    // r0 = *(u16 *)(r1 + 0); exit
    child.stdin.end('69 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00\n');
    const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.deepEqual([out, code], ['ff\n', 0]);
  });

  it('are gone after a reset, with their code', async () => {
    await ask('POST', '/v1/image/reset', {});
    const { body } = await ask<{ items: readonly ProgramView[] }>('GET', '/v1/programs');
    assert.deepEqual(body.items, []);
    const audit = await ask<AuditView>('GET', '/v1/audit');
    assert.deepEqual([audit.body.differing, audit.body.orphans], [0, []]);
  });
});
