/**
 * BPF programs in every place that takes one, over HTTP and executed: kprobe programs behind ftrace, int3, a jump and a return; freplace, fentry
 * and fexit on another program's function. What each saw is in a map.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ok, seededPrng, systemClock } from '../../src/base/index.ts';
import {
  type AuditView,
  type CallAnswer,
  createCoordinator,
  type MapEntryView,
  type MapView,
  type Problem,
  type ProgramView,
  type SymbolView,
  type TracePipeLines,
} from '../../src/coordinator/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import {
  addImm,
  call,
  EXIT,
  insn,
  load64,
  mapValue,
  mov,
  movImm,
  program,
  store64,
  storeImm,
} from '../support/bpf-code.ts';
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
beforeEach(async () => {
  assert.equal((await ask('POST', '/v1/image/reset', {})).status, 200);
});

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

async function made<T>(path: string, body: object): Promise<T> {
  const answer = await ask<T>('POST', path, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

const WORDS = 4;
const words = async (map: string): Promise<readonly bigint[]> => {
  const { body } = await ask<MapEntryView>('GET', `/v1/maps/${map}/entries/00000000`);
  const bytes = Buffer.from(body.value ?? '', 'hex');
  return Array.from({ length: WORDS }, (_, i) => bytes.readBigUInt64LE(i * 8));
};
const newMap = async (): Promise<string> =>
  (await made<MapView>('/v1/maps', { name: 'seen', type: 'array', maxEntries: 1, valueSize: WORDS * 8 })).id;

const load = async (type: string, bytecode: string, map: string, more: object = {}): Promise<string> =>
  (await made<ProgramView>('/v1/programs', { type, bytecode, maps: [map], ...more })).id;
const attach = async (body: object): Promise<string> => (await made<{ id: string }>('/v1/attachments', body)).id;
const detach = async (id: string): Promise<void> =>
  assert.equal((await ask('DELETE', `/v1/attachments/${id}`)).status, 200);

async function called(name: string, ...args: readonly unknown[]): Promise<CallAnswer> {
  const { body } = await ask<CallAnswer>('POST', '/v1/calls', { function: name, args });
  assert.equal(body.ended, 'returned', JSON.stringify(body.fault));
  return body;
}

/** Offsets in struct pt_regs. */
const REGS = { rax: 80, rsi: 104, rdi: 112, rip: 128 };
const GET_FUNC_IP = 173;

/** Its first two argument registers or its result, %rip, and bpf_get_func_ip. */
const seesRegs = (first: number): string =>
  program(
    mov(6, 1),
    mapValue(7, 0),
    load64(2, 6, first),
    store64(7, 0, 2),
    load64(2, 6, REGS.rsi),
    store64(7, 8, 2),
    load64(2, 6, REGS.rip),
    store64(7, 16, 2),
    mov(1, 6),
    call(GET_FUNC_IP),
    store64(7, 24, 0),
    movImm(0, 0),
    EXIT,
  );

const F = 'gcd';

describe('a kprobe program', () => {
  const address = async (name: string): Promise<bigint> =>
    BigInt((await ask<SymbolView>('GET', `/v1/symbols/${name}`)).body.address);

  for (const { name, target, behind, options, mechanism } of [
    { name: 'at a function that ftrace manages', target: F, behind: 5n, options: {}, mechanism: 'ftrace' },
    {
      name: 'in a body, behind int3',
      target: 'lab_opt+0x9',
      behind: 10n,
      options: { optimize: false },
      mechanism: 'int3',
    },
    { name: 'in a body, behind a jump', target: 'lab_opt+0x9', behind: 10n, options: {}, mechanism: 'jump' },
  ] as const)
    it(`${name} sees the registers, and leaves them as they were`, async () => {
      const func = target.split('+')[0] as string;
      const pristine = await called(func, 48, 36);
      const map = await newMap();
      const kprobe = await load('kprobe', seesRegs(REGS.rdi), map);
      const id = await attach({ kind: 'kprobe', target, program: kprobe, options });
      const again = await attach({ kind: 'kprobe', target, options });
      if (mechanism === 'jump') await new Promise((resolve) => setTimeout(resolve, 200));
      const text = await ask<{ bytes: string }>('GET', `/v1/text?at=${target}&length=5`);
      if (mechanism !== 'ftrace') assert.equal(text.body.bytes.slice(0, 2), mechanism === 'int3' ? 'cc' : 'e9');
      const answer = await called(func, 48, 36);
      assert.equal(answer.returnValue, pristine.returnValue);
      assert.deepEqual(
        answer.fired.map(({ attachment }) => attachment),
        [again, id],
        'the newest first',
      );
      assert.ok((answer.fired[1]?.instructions ?? 0) >= 11, 'the program was executed');
      const at = await address(func);
      const funcIp = mechanism === 'ftrace' ? at : 0n;
      const [rdi, rsi, rip, ip] = await words(map);
      if (mechanism === 'ftrace') assert.deepEqual([rdi, rsi], [48n, 36n]);
      assert.deepEqual([rip, ip], [at + behind, funcIp]);
      const view = await ask<ProgramView>('GET', `/v1/programs/${kprobe}`);
      assert.deepEqual(view.body.attachments, [id]);
      const inUse = await ask('DELETE', `/v1/programs/${kprobe}`);
      assert.deepEqual([inUse.status, inUse.body.rule], [409, 'program.in-use']);
      for (const each of [again, id]) await detach(each);
      assert.equal((await ask('DELETE', `/v1/programs/${kprobe}`)).status, 200);
    });

  it('at a return sees the result, on as many functions as one likes', async () => {
    const map = await newMap();
    const kprobe = await load('kprobe', seesRegs(REGS.rax), map);
    const ids = [
      await attach({ kind: 'kretprobe', target: F, program: kprobe }),
      await attach({ kind: 'kretprobe', target: 'bpf_fentry_test1', program: kprobe }),
    ];
    const answer = await called(F, 48, 36);
    assert.deepEqual(
      answer.fired.map(({ attachment, returnValue }) => [attachment, BigInt(returnValue ?? -1)]),
      [[ids[0], 12n]],
    );
    assert.deepEqual([(await words(map))[0], (await words(map))[3]], [12n, await address(F)]);
    await called('bpf_fentry_test1', 41);
    assert.equal((await words(map))[0], 42n);
    for (const id of ids) await detach(id);
  });

  it('is attached through perf, and refused by the other ways in', async () => {
    const kprobe = await load('kprobe', seesRegs(REGS.rdi), await newMap());
    for (const via of ['kernel', 'tracefs']) {
      const { status, body } = await ask('POST', '/v1/attachments', {
        kind: 'kprobe',
        target: F,
        program: kprobe,
        options: { via },
      });
      assert.deepEqual([status, body.errno, body.rule], [422, 'EINVAL', 'program.type'], via);
    }
    const id = await attach({ kind: 'kprobe', target: F, program: kprobe });
    const { body } = await ask<{ options: object }>('GET', `/v1/attachments/${id}`);
    assert.deepEqual(body.options, { via: 'perf' });
    const fentry = await ask('POST', '/v1/attachments', { kind: 'fentry', target: F, program: kprobe });
    assert.equal(fentry.body.rule, 'program.type');
  });
});

/** main: word 0 := sub(5). */
const MAIN_AND_SUB = program(
  mov(6, 1),
  movImm(1, 5),
  insn(0x85, 0, 1, 0, 5),
  mapValue(7, 0),
  store64(7, 0, 0),
  movImm(0, 0),
  EXIT,
  // sub
  mov(0, 1),
  addImm(0, 37),
  EXIT,
);
const FUNCTIONS = [
  { name: 'main', args: ['ctx'] },
  { name: 'sub', args: ['int'] },
];
/** Puts a word of its context into the map. */
const seesContext = (to: number, off: number): string =>
  program(mapValue(2, 0), load64(3, 1, off), store64(2, to, 3), movImm(0, 0), EXIT);

describe('programs on a program', () => {
  it('replace and trace its function, as calls of the kernel function show', async () => {
    const map = await newMap();
    // An fentry program could be traced, but not extended.
    const target = await load('kprobe', MAIN_AND_SUB, map, { functions: FUNCTIONS });
    const main = await attach({ kind: 'kprobe', target: F, program: target });
    const result = async (): Promise<bigint | undefined> => {
      await called(F, 48, 36);
      return (await words(map))[0];
    };
    assert.equal(await result(), 42n);

    const times = await load('freplace', program(mov(0, 1), add100(0), EXIT), map, {
      functions: [{ name: 'other', args: ['int'] }],
    });
    const sub = `prog:${target}:sub`;
    const extension = await attach({ kind: 'freplace', target: sub, program: times });
    assert.equal(await result(), 105n, 'the other function ran, with the argument');
    const answer = await called(F, 48, 36);
    assert.deepEqual(
      answer.fired.map(({ attachment }) => attachment),
      [main, extension],
    );
    assert.deepEqual(answer.fired[1]?.args.map(BigInt), [5n]);
    const busy = await ask('POST', '/v1/attachments', { kind: 'fentry', target: sub });
    assert.deepEqual([busy.body.errno, busy.body.rule], ['EBUSY', 'bpf.extension.exclusive']);
    for (const id of [target, times])
      assert.equal((await ask('DELETE', `/v1/programs/${id}`)).body.rule, 'program.in-use');
    await detach(extension);
    assert.equal(await result(), 42n);

    const fentry = await attach({
      kind: 'fentry',
      target: sub,
      program: await load('fentry', seesContext(8, 0), map, { attachTo: sub }),
    });
    const fexit = await attach({
      kind: 'fexit',
      target: sub,
      program: await load('fexit', seesContext(16, 8), map, { attachTo: sub }),
    });
    assert.equal(await result(), 42n);
    assert.deepEqual((await words(map)).slice(0, 3), [42n, 5n, 42n], 'argument and result of the traced function');
    const refused = await ask('POST', '/v1/attachments', { kind: 'freplace', target: sub, program: times });
    assert.deepEqual([refused.body.errno, refused.body.rule], ['EBUSY', 'bpf.extension.exclusive']);
    const site = await ask<{ kind: string; owners: readonly { attachment: string }[] }>('GET', `/v1/sites/${sub}`);
    assert.equal(site.body.kind, 'bpf_prog');
    assert.deepEqual(site.body.owners.map(({ attachment }) => attachment).sort(), [fentry, fexit].sort());

    for (const id of [fentry, fexit, main]) await detach(id);
    assert.equal((await ask('DELETE', `/v1/programs/${target}`)).status, 200);
    const audit = await ask<AuditView>('GET', '/v1/audit');
    assert.deepEqual(audit.body.orphans, []);
  });
});

function add100(register: number): string {
  return addImm(register, 100);
}

describe('trace_pipe', () => {
  /** bpf_trace_printk("hi %d", 6, argument) */
  const prints = program(
    storeImm(10, -8, 0x25206968),
    storeImm(10, -4, 0x64),
    mov(1, 10),
    addImm(1, -8),
    movImm(2, 6),
    movImm(3, 7),
    call(6),
    movImm(0, 0),
    EXIT,
  );
  const taken = async (query = ''): Promise<TracePipeLines> =>
    (await ask<TracePipeLines>('DELETE', `/v1/tracefs/trace_pipe${query}`)).body;

  it('has what an attached program prints in calls and a workload, and a program in a run', async () => {
    const { id: kprobe } = await made<ProgramView>('/v1/programs', {
      type: 'kprobe',
      bytecode: prints,
    });
    const id = await attach({ kind: 'kprobe', target: F, program: kprobe });
    const waiting = taken('?waitMs=20000');
    const answer = await called(F, 48, 36);
    assert.deepEqual(answer.log, ['swapper/0-0 [000] bpf_trace_printk: hi 7']);
    const [line, ...more] = (await waiting).lines;
    assert.deepEqual([line?.text, line?.attachment, line?.program, more], ['hi 7', id, null, []]);
    assert.match(line?.line ?? '', /^ {10}<idle>-0 {7}\[000\] \.{5} +\d+\.\d{6}: bpf_trace_printk: hi 7$/);
    await ask('POST', `/v1/programs/${kprobe}/runs`, { input: '00'.repeat(168) });
    const ran = await ask<TracePipeLines>('GET', '/v1/tracefs/trace_pipe');
    assert.deepEqual(
      ran.body.lines.map(({ text, attachment, program: of }) => [text, attachment, of]),
      [['hi 7', null, kprobe]],
    );
    assert.equal((await taken()).lines.length, 1, 'reading leaves it there');
    const load = { calls: [{ function: F, args: [48, 36] }], seconds: 1, callsPerSecond: 20 };
    assert.equal((await ask('POST', '/v1/workloads', load)).status, 201);
    assert.equal((await taken('?waitMs=20000')).lines[0]?.attachment, id);
    await detach(id);
  });
});
