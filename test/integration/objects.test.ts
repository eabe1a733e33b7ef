/** An object of clang from HTTP to an event: loaded, attached beside another client's kprobe, run by a call of the kernel's function, read. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { ok, seededPrng, systemClock } from '../../src/base/index.ts';
import { createClient } from '../../src/client/index.ts';
import { createCoordinator, type Problem, type ProgramView } from '../../src/coordinator/index.ts';
import type { KernelImage } from '../../src/image/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import { type ObjectName, objectBytes, objectPath } from '../support/bpf-objects.ts';
import { builtinImage, kernelImage } from '../support/images.ts';
import { RECORDED_6_12, realKernel } from '../support/kernels.ts';

const AF_INET = 2;
const TCP_SYN_SENT = 2;
const TCP_CLOSE = 7;
/** A state that a zeroed socket of the real kernel gets into without its protocol. */
const TCP_SYN_RECV = 3;

/** struct sock as far as the program reads it: where the kernel's BTF has family and state. */
function socketOf(
  family: number,
  state: number,
  size: number,
  at: { readonly family: number; readonly state: number },
): string {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(family, at.family);
  bytes.writeUInt8(state, at.state);
  return bytes.toString('hex');
}

/** struct event of tcp-states.bpf.c. */
function readEvent(hex: string) {
  const bytes = Buffer.from(hex, 'hex');
  const [socket, pid] = [bytes.readBigUInt64LE(0), bytes.readUInt32LE(8)];
  return { socket, pid, family: bytes.readUInt16LE(12), from: bytes.readUInt8(14), to: bytes.readUInt8(15) };
}

async function serve(image: KernelImage): Promise<RunningService> {
  return startService({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    log: createLogger('silent'),
    open: async () => ok(createCoordinator({ image, strictness: 'safe', clock: systemClock, prng: seededPrng(1) })),
  });
}

/** The whole way, on any kernel. */
async function traceTcp(server: string, socket: string, state: number): Promise<void> {
  const tracer = createClient({ server, client: 'tracer' });
  const other = createClient({ server, client: 'other' });
  const probe = await other.attach({ kind: 'kprobe', target: 'tcp_set_state' });
  assert.ok(probe.ok, JSON.stringify(probe));

  const program = await tracer.loadObject(objectBytes('tcp-states'), { name: 'tcp-states' });
  assert.ok(program.ok, JSON.stringify(program));
  const { id, type, attachTo, name, maps } = program.value;
  assert.deepEqual([type, attachTo, name], ['fentry', 'tcp_set_state', 'tcp_states']);
  const attached = await tracer.attach({ kind: 'fentry', target: 'tcp_set_state', program: id });
  assert.ok(attached.ok, JSON.stringify(attached));

  const call = await tracer.call({ function: 'tcp_set_state', args: [{ buffer: socket }, `0x${state.toString(16)}`] });
  assert.ok(call.ok, JSON.stringify(call));
  assert.equal(call.value.ended, 'returned', JSON.stringify(call.value.fault));
  const fired = call.value.fired.map(({ attachment }) => attachment);
  assert.deepEqual(fired.sort(), [probe.value.id, attached.value.id].sort(), 'both run');

  const views = await Promise.all(maps.map((map) => tracer.map(map)));
  const byName = new Map(views.map((view) => (view.ok ? [view.value.name, view.value.id] : ['', ''])));
  assert.deepEqual([...byName.keys()].sort(), ['events', 'tcp_stat.bss', 'tcp_stat.rodata']);
  const records = await tracer.consumeMapRecords(byName.get('events') ?? '', {});
  assert.ok(records.ok, JSON.stringify(records));
  const [event, ...others] = records.value.records.map(({ bytes }) => readEvent(bytes));
  assert.equal(others.length, 0);
  const first = call.value.fired.find(({ attachment }) => attachment === attached.value.id);
  assert.equal(event?.socket, BigInt(first?.args[0] ?? 0), 'the argument that the function had');
  assert.deepEqual(
    [event?.family, event?.from, event?.to],
    [AF_INET, TCP_SYN_SENT, state],
    'what the socket said, where this kernel has it',
  );
  const changes = await tracer.mapEntries(byName.get('tcp_stat.bss') ?? '');
  assert.equal(changes.ok && changes.value.items[0]?.value, '0100000000000000');

  assert.ok((await tracer.detach(attached.value.id)).ok);
  assert.ok((await other.detach(probe.value.id)).ok);
  assert.ok((await tracer.unloadProgram(id)).ok);
  const audit = await tracer.audit();
  assert.deepEqual(audit.ok && audit.value.orphans, []);
}

describe('objects over HTTP', () => {
  let service: RunningService;
  before(async () => {
    service = await serve(await builtinImage());
  });
  after(() => service.stop('the test ends'));

  async function post(name: ObjectName, query = '', headers: Record<string, string> = {}) {
    const response = await fetch(`${service.address}/v1/programs${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', ...headers },
      body: objectBytes(name),
    });
    const location = response.headers.get('location');
    const body = (await response.json()) as ProgramView & Problem & { readonly items?: readonly ProgramView[] };
    return { status: response.status, location, body };
  }

  it('go from an object to an event, beside a kprobe', async () => {
    const at = { family: 0, state: 2 };
    await traceTcp(service.address, socketOf(AF_INET, TCP_SYN_SENT, 256, at), TCP_CLOSE);
  });

  it('are one program, the one that is named, or all with maps in common', async () => {
    const several = await post('subprograms');
    assert.deepEqual([several.status, several.body.rule], [422, 'bpf.object.choice']);
    assert.match(several.body.detail, /fexit\/tcp_set_state \(loops\)/);
    // A function's name says it, too.
    const one = await post('maps', '?section=next');
    assert.deepEqual([one.status, one.location], [201, `/v1/programs/${one.body.id}`], JSON.stringify(one.body));
    assert.deepEqual([one.body.name, one.body.attachTo], ['next', 'tcp_set_state']);
    // fentry programs return 0, which this one does not: the answer has the verifier's log.
    const unsafe = await post('subprograms', '?section=fexit/tcp_set_state');
    assert.deepEqual([unsafe.status, unsafe.body.rule], [422, 'bpf.verifier']);
    assert.match(unsafe.body.log ?? '', /call bpf_loop#181/);
    const none = await post('subprograms', '?section=nothing');
    assert.deepEqual([none.status, none.body.rule], [422, 'bpf.object.section']);
  });

  it('are answered once for one Idempotency-Key', async () => {
    const headers = { 'idempotency-key': 'object-1' };
    const first = await post('tcp-states', '', headers);
    const again = await post('tcp-states', '', headers);
    assert.equal(first.status, 201, JSON.stringify(first.body));
    assert.deepEqual(again, first);
    const other = await post('subprograms', '?section=calls', headers);
    assert.deepEqual([other.status, other.body.rule], [422, 'http.idempotency.conflict']);
  });

  it('are refused with section and offset, and leave no map behind', async () => {
    const count = async (): Promise<number> => {
      const { items } = (await (await fetch(`${service.address}/v1/maps`)).json()) as { items: readonly unknown[] };
      return items.length;
    };
    const before = await count();
    const { status, body } = await post('sections', '?section=xdp');
    assert.deepEqual([status, body.errno, body.rule], [422, 'EOPNOTSUPP', 'bpf.object.section']);
    const cut = await fetch(`${service.address}/v1/programs`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: objectBytes('core').subarray(0, 200),
    });
    const problem = (await cut.json()) as Problem;
    assert.deepEqual([cut.status, problem.rule], [422, 'bpf.object.malformed']);
    assert.match(problem.detail, /at offset 0x/);
    assert.equal(await count(), before);
  });

  it('are loaded from the command line', async () => {
    const cli = ['--import', 'tsx', 'src/cli/main.ts', 'program', 'load', objectPath('tcp-states')];
    const child = spawn(process.execPath, [...cli, '--server', service.address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    assert.equal(code, 0);
    assert.match(
      out,
      /^prog_\w+ {2}fentry for tcp_set_state {2}tcp_states {2}\d+ instructions, \d+ bytes {2}maps map_/,
    );
  });
});

describe('objects on a real kernel', () => {
  const { path, skip } = realKernel(RECORDED_6_12);
  it('go from an object to an event, beside a kprobe', { skip }, async () => {
    const image = await kernelImage(path);
    const service = await serve(image);
    try {
      const layout = image.btf?.struct('sock_common')?.offsets;
      const at = { family: layout?.get('skc_family') ?? -1, state: layout?.get('skc_state') ?? -1 };
      await traceTcp(service.address, socketOf(AF_INET, TCP_SYN_SENT, 1024, at), TCP_SYN_RECV);
    } finally {
      await service.stop('the test ends');
    }
  });
});
