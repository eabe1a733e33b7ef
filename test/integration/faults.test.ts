/** Injected faults over HTTP and from the command line: with and without the flag, each by its name, and for administrators alone. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { run } from '../../src/cli/program.ts';
import { type Client, createClient, type FaultRequest, type FaultView } from '../../src/client/index.ts';
import {
  createLogger,
  openCoordinator,
  openFaultInjection,
  parseTokenFile,
  startService,
} from '../../src/server/index.ts';

const F = { kind: 'fentry', target: 'tcp_set_state' } as const;
const TOKENS = 'worker 0123456789abcdef0123 attach\noperator 0123456789abcdef0124 admin\n';

interface Started {
  readonly address: string;
  readonly client: Client;
  readonly log: () => string;
}

/** As `ktextd serve` starts it, with a journal on the disk. */
async function serve(
  t: TestContext,
  { injects = true, tokens }: { readonly injects?: boolean; readonly tokens?: string } = {},
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-faults-'));
  const injection = injects ? openFaultInjection(() => assert.fail('nothing ends this process')) : undefined;
  const book = tokens === undefined ? undefined : parseTokenFile(tokens);
  let log = '';
  const service = await startService({
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    log: createLogger('warn', {
      write: (line) => {
        log += line;
      },
    }),
    ...(book?.ok === true ? { tokens: book.book } : {}),
    ...(injection === undefined ? {} : { clock: injection.clock }),
    open: (onProgress) =>
      openCoordinator({
        image: 'builtin',
        profile: 'max',
        strictness: 'safe',
        data: { folder, version: 'test' },
        ...(injection === undefined ? {} : { faults: injection.faults }),
        onProgress,
      }),
  });
  t.after(async () => {
    await service.stop('the test ends');
    rmSync(folder, { recursive: true });
  });
  assert.ok((await service.opened).ok);
  return { address: service.address, client: createClient({ server: service.address }), log: () => log };
}

const textOf = async (url: string): Promise<string> => (await fetch(url)).text();
const ruleOf = (answer: { readonly ok: boolean; readonly problem?: { readonly rule: string } }) => answer.problem?.rule;

async function arm(client: Client, request: FaultRequest): Promise<FaultView> {
  const armed = await client.injectFault(request);
  assert.ok(armed.ok, JSON.stringify(armed));
  return armed.value;
}

/** Does something with a fault armed; what came of it, and after how long. */
async function during<T>(client: Client, request: FaultRequest, body: () => Promise<T>) {
  const { id } = await arm(client, request);
  const began = performance.now();
  const answer = await body();
  const ms = performance.now() - began;
  const removed = await client.removeFault(id);
  assert.ok(removed.ok && removed.value.fired > 0, `${request.name} has happened`);
  return { answer, ms };
}

test('without the flag every call about faults is refused, and nothing says otherwise', async (t) => {
  const { client, address, log } = await serve(t, { injects: false });
  const refused = await client.injectFault({ name: 'dropped-ipi' });
  assert.ok(!refused.ok);
  const { status, errno, rule } = refused.problem;
  assert.deepEqual([status, errno, rule], [403, 'EPERM', 'fault.not-enabled']);
  assert.equal(ruleOf(await client.faults()), 'fault.not-enabled');
  assert.equal(ruleOf(await client.removeFault('flt_1')), 'fault.not-enabled');
  assert.equal(JSON.parse(await textOf(`${address}/readyz`)).faultInjection, false);
  assert.match(await textOf(`${address}/metrics`), /^ktextd_fault_injection_enabled 0$/m);
  assert.ok((await client.attach(F)).ok);
  assert.equal(log(), '');
});

test('with it the service says so wherever one looks', async (t) => {
  const { client, address, log } = await serve(t);
  assert.match(log(), /"level":40.*faults can be injected into this service/);
  assert.equal(JSON.parse(await textOf(`${address}/readyz`)).faultInjection, true);
  await arm(client, { name: 'dropped-ipi' });
  const refused = await client.attach(F);
  assert.ok(!refused.ok);
  const { status, errno, rule, place } = refused.problem;
  assert.deepEqual([status, errno, rule], [503, 'ETIMEDOUT', 'fault.dropped-ipi']);
  assert.ok(place !== null);
  const metrics = await textOf(`${address}/metrics`);
  assert.match(metrics, /^ktextd_fault_injection_enabled 1$/m);
  assert.match(metrics, /^ktextd_injected_faults_total\{name="dropped-ipi"\} 1$/m);
  for (const what of ['armed', 'fired']) assert.match(log(), new RegExp(`dropped-ipi.*injected fault ${what}`));
});

test('for administrators alone', async (t) => {
  const { address } = await serve(t, { tokens: TOKENS });
  const of = (token: string) => createClient({ server: address, token });
  const worker = of('0123456789abcdef0123');
  const { id } = await arm(of('0123456789abcdef0124'), { name: 'dropped-ipi' });
  for (const answer of [
    await worker.injectFault({ name: 'dropped-ipi' }),
    await worker.faults(),
    await worker.removeFault(id),
  ])
    assert.equal(ruleOf(answer), 'http.role');
});

test('each by its name', async (t) => {
  const { client } = await serve(t);
  const refused = async (request: FaultRequest, rule: string): Promise<void> => {
    const { answer } = await during(client, request, () => client.attach(F));
    assert.equal(ruleOf(answer), rule, request.name);
    const audit = await client.audit();
    assert.ok(audit.ok && audit.value.orphans.length === 0, request.name);
  };
  await refused({ name: 'dropped-ipi', cpu: 3 }, 'fault.dropped-ipi');
  await refused({ name: 'crash-between-phases', phase: 6 }, 'fault.crash-between-phases');
  const nothing = await client.audit();
  assert.ok(nothing.ok && nothing.value.differing === 0);
  await refused({ name: 'journal-full' }, 'journal.disk-full');
  for (const name of ['delayed-sync', 'journal-stall']) {
    const target = name === 'delayed-sync' ? 'vfs_read' : 'schedule';
    const attach = async () => {
      // The disk that was full is tried again every half a second.
      for (;;) {
        const answer = await client.attach({ kind: 'kprobe', target });
        if (ruleOf(answer) !== 'journal.disk-full') return answer;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const { answer, ms } = await during(client, { name, ms: 200 }, attach);
    assert.ok(answer.ok, name);
    assert.ok(ms >= 195, `${name}: ${ms} ms`);
  }
  await arm(client, { name: 'clock-jump', ms: 86_400_000 });
  assert.ok((await client.attach({ kind: 'kprobe', target: 'tcp_sendmsg' })).ok);
  const page = await client.attachments();
  assert.ok(page.ok);
  const since = page.value.items.map((each) => Date.parse(each.since));
  assert.ok(Math.max(...since) - Math.min(...since) > 86_000_000, 'the last one came a day later, as it seems');
});

test('a clock that jumps a day does not make a repeated request run twice', async (t) => {
  const { client } = await serve(t);
  const first = await client.attach(F, { idempotencyKey: 'once' });
  await arm(client, { name: 'clock-jump', ms: 2 * 86_400_000 });
  const second = await client.attach(F, { idempotencyKey: 'once' });
  assert.ok(first.ok && second.ok);
  assert.equal(first.value.id, second.value.id);
});

test('a command that failed may be repeated with its Idempotency-Key', async (t) => {
  const { client } = await serve(t);
  await arm(client, { name: 'crash-between-phases', phase: 3 });
  const first = await client.attach(F, { idempotencyKey: 'again' });
  assert.equal(ruleOf(first), 'fault.crash-between-phases');
  assert.ok((await client.attach(F, { idempotencyKey: 'again' })).ok);
});

test('from the command line', async (t) => {
  const { address } = await serve(t);
  const ktextd = async (line: string) => {
    let text = '';
    const write = (more: string): void => {
      text += more;
    };
    const code = await run(line.split(' '), { out: write, err: write, env: { KTEXTD_SERVER: address } }, '1.2.3');
    return { code, text };
  };
  const armed = await ktextd('fault inject crash-between-phases --phase 4 --command attach');
  assert.equal(armed.code, 0, armed.text);
  const [, id = ''] = /^(flt_\w+) crash-between-phases command=attach phase=4: happened 0/.exec(armed.text) ?? [];
  const refused = await ktextd('attach fentry:tcp_set_state');
  assert.equal(refused.code, 1);
  assert.match(refused.text, /^EAGAIN: flt_\w+ ended "attach fentry" at its step 4/);
  assert.match((await ktextd('fault ls')).text, new RegExp(`^${id} +crash-between-phases +cli +1 +1 +0 `, 'm'));
  assert.equal((await ktextd(`fault rm ${id}`)).code, 0);
  assert.equal((await ktextd('attach fentry:tcp_set_state')).code, 0);
  assert.equal((await ktextd('fault inject clock-jump --ms=-5000')).code, 0);
  assert.match((await ktextd('fault inject dropped-ipis')).text, /fault\.name/);
  assert.equal((await ktextd('fault inject dropped-ipi --cpu x')).code, 2);
});
