/** The command line against the service: output, exit status, usage errors. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ok } from '../../src/base/index.ts';
import { run } from '../../src/cli/program.ts';
import { curlLines } from '../../src/cli/serve.ts';
import { createLogger, parseListen, parseTokenFile, startService } from '../../src/server/index.ts';
import { createFakeCoordinator } from './coordinator.fake.ts';

async function cli(t: TestContext, tokens?: string) {
  const fake = createFakeCoordinator();
  const listen = parseListen('127.0.0.1:0');
  assert.ok(listen !== undefined);
  const book = tokens === undefined ? undefined : parseTokenFile(tokens);
  const service = await startService({
    listen,
    log: createLogger('silent'),
    open: async () => ok(fake),
    ...(book?.ok === true ? { tokens: book.book } : {}),
  });
  await service.opened;
  t.after(() => service.stop('test'));
  return {
    fake,
    service,
    async ktextd(line: string, env: Record<string, string> = {}) {
      let out = '';
      let err = '';
      const io = {
        out: (text: string) => {
          out += text;
        },
        err: (text: string) => {
          err += text;
        },
        env: { KTEXTD_SERVER: service.address, ...env },
      };
      const code = await run(line.split(' '), io, '1.2.3');
      return { code, out, err };
    },
  };
}

test('map: create, ls, update, dump, lookup, records, rm', async (t) => {
  const { ktextd, fake } = await cli(t);
  const created = await ktextd('map create hash counts 16 --key 4 --value 8');
  assert.equal(created.code, 0, created.err);
  assert.match(created.out, /^map +map_1, number 1\nname +counts\ntype +hash\nkey, value +4, 8 bytes\n/);
  assert.equal(fake.callers[0]?.client, 'cli');
  assert.match((await ktextd('map ls')).out, /^ID .*\nmap_1 +hash +16 +cli +counts\n$/);
  assert.equal((await ktextd('map update map_1 258 -1')).out, '02010000: 00000000\n');
  assert.equal((await ktextd('map lookup map_1 str:ab')).out, '61620000: 00000000\n');
  assert.equal((await ktextd('map dump map_1')).out, '00000000: 00000000\n');
  assert.equal((await ktextd('map records map_1 --wait 1')).out, '01\n');
  assert.equal((await ktextd('map records map_1 --keep')).out, '');
  for (const word of ['0x100000000', 'str:abcd', 'five'])
    assert.equal((await ktextd(`map lookup map_1 ${word}`)).code, 2, word);
  assert.match((await ktextd('map rm map_1')).out, /^map_1 \(counts\) deleted/);
  const gone = await ktextd('map show map_1');
  assert.deepEqual([gone.code, gone.err.startsWith('ENOENT: map_1 is not a map.')], [1, true]);
});

test('attach, ls, site, detach', async (t) => {
  const { ktextd, fake } = await cli(t);
  const attached = await ktextd('attach fentry:tcp_set_state');
  assert.equal(attached.code, 0);
  assert.match(attached.out, /^att_1 fentry attached, 1 pokes/);
  assert.match(attached.out, /0f1f440000 -> e8112233ff {2}ftrace, chain att_1/);
  assert.equal(fake.callers[0]?.client, 'cli');
  const listed = await ktextd('ls');
  assert.match(listed.out, /^ID {5}KIND/);
  assert.match(listed.out, /att_1 {2}fentry {2}cli {5}enabled {2}1 .*tcp_set_state\n$/);
  assert.match(
    (await ktextd('site tcp_set_state')).out,
    /patched, revision 1\n {2}0f1f440000 -> e8112233ff\n {2}0 {2}att_1 \(fentry\) of cli/,
  );
  assert.match((await ktextd('detach att_1')).out, /^att_1 detached; pristine again: 0xffffffff81a3c4d0/);
});

test('a refusal: errno first on stderr, then rule, holder and way out; exit status 1', async (t) => {
  const { ktextd } = await cli(t);
  await ktextd('attach ftrace:tcp_set_state --ipmodify');
  const refused = await ktextd('attach ftrace:tcp_set_state --ipmodify --save-regs -o recursion=true');
  assert.equal(refused.code, 1);
  assert.equal(refused.out, '');
  assert.match(
    refused.err,
    /^EBUSY: Someone holds IPMODIFY\.\n {2}rule {6}ftrace\.ipmodify\.exclusive: One IPMODIFY user/,
  );
  assert.match(refused.err, /held by {3}att_1 \(ftrace\) of cli since 2026/);
  assert.match(refused.err, /try {7}Detach the holder\./);
  const json = await ktextd('attach ftrace:tcp_set_state --ipmodify --json');
  assert.equal(json.code, 1);
  assert.equal(JSON.parse(json.out).rule, 'ftrace.ipmodify.exclusive');
});

test('options reach the request', async (t) => {
  const { ktextd, fake } = await cli(t);
  const answer = await ktextd('attach kprobe:tcp_set_state+16 --post-handler --via perf -o maxActive=4 --json');
  assert.equal(JSON.parse(answer.out).kind, 'kprobe');
  const view = fake.attachment('att_1');
  assert.ok(view.ok);
  assert.deepEqual(view.value.options, { postHandler: true, via: 'perf', maxActive: 4 });
  assert.equal(view.value.target, 'tcp_set_state+0x10');
});

test('every looking command, for people and as JSON', async (t) => {
  const { ktextd } = await cli(t);
  const cases: readonly [string, RegExp][] = [
    ['image', /release +6\.12\.0-fake\n/],
    ['symbols tcp_*', /0xffffffff81a3c4d0 {2}T {2}kprobe,ftrace,fentry,livepatch {2}void tcp_set_state/],
    ['symbols --limit 1', /^0x.*\n$/],
    ['disasm tcp_set_state --length 4', /^tcp_set_state:\n0xffffffff81a3c4d0 {2}90 {2}nop\n/],
    ['ls', /^ID/],
    ['site tcp_set_state', /pristine, revision 0/],
    ['audit', /^4096 bytes checked, 0 differ, 0 attributed, 0 orphans\n$/],
    ['rules', /http\.schema +EINVAL/],
    ['rules http.schema', /^http\.schema \(EINVAL\)/],
  ];
  for (const [line, expected] of cases) {
    const { code, out } = await ktextd(line);
    assert.equal(code, 0, line);
    assert.match(out, expected, line);
    const json = await ktextd(`${line} --json`);
    assert.doesNotThrow(() => JSON.parse(json.out), line);
  }
});

test('plan: 0 when it would succeed; a file that is not JSON is shown with a caret', async (t) => {
  const { ktextd } = await cli(t);
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const good = join(folder, 'good.json');
  writeFileSync(
    good,
    JSON.stringify([{ attach: { kind: 'fentry', target: 'f' } }, { attach: { kind: 'ftrace', target: 'held' } }]),
  );
  const planned = await ktextd(`plan ${good} --kernel 6.6`);
  assert.match(
    planned.out,
    /^0 {2}attached\n1 {2}refused EBUSY\n {3}EBUSY: held\n(?: {5}.*\n)*would succeed \(rules of 6\.6/,
  );
  assert.match((await ktextd(`plan ${good} --solve`)).out, /^steps that no order grants together: 1$/m);
  const alone = join(folder, 'alone.json');
  writeFileSync(alone, JSON.stringify([{ attach: { kind: 'fentry', target: 'f' } }]));
  assert.match((await ktextd(`plan ${alone} --solve`)).out, /^order: 0\nwould succeed/m);
  const bad = join(folder, 'bad.json');
  writeFileSync(bad, '[\n  {"attach": }\n]');
  const refused = await ktextd(`plan ${bad}`);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /bad\.json:2:14: this is not JSON\n {4}\{"attach": \}\n {15}\^\n$/);
  assert.equal((await ktextd(`plan ${folder}/none.json`)).code, 2);
});

test('events: resumes, filters, counts', async (t) => {
  const { ktextd, fake } = await cli(t);
  for (let i = 0; i < 3; i++) fake.emit('poke', { places: ['f+0x4'], n: i });
  const two = await ktextd('events --after 1 --count 2');
  assert.equal(two.code, 0);
  assert.equal(
    two.out,
    '2 2026-01-01T00:00:00.000Z poke places=["f+0x4"] n=1\n3 2026-01-01T00:00:00.000Z poke places=["f+0x4"] n=2\n',
  );
  const json = await ktextd('events --after 2 --types poke --count 1 --json');
  assert.deepEqual(JSON.parse(json.out), {
    type: 'poke',
    sequence: 3,
    time: '2026-01-01T00:00:00.000Z',
    places: ['f+0x4'],
    n: 2,
  });
  assert.equal((await ktextd('events --after 99')).code, 1);
});

test('usage errors: exit status 2 and a caret', async (t) => {
  const { ktextd } = await cli(t);
  const cases: readonly [string, RegExp][] = [
    ['attach kprob:tcp_close', /unknown kind "kprob".*\n {2}kprob:tcp_close\n {2}\^\n$/],
    ['attach kprobe:tcp_*', /use kprobe_multi\n {2}kprobe:tcp_\*\n {13}\^\n$/],
    ['atach fentry:f', /unknown command 'atach'.*\n {2}ktextd atach fentry:f\n {9}\^\n$/],
    ['ls --bogus', /unknown option '--bogus'\n {2}ktextd ls --bogus\n {12}\^\n$/],
    ['site', /missing required argument 'place'/],
    ['symbols --limit none', /positive integer/],
    ['ls --server http://', /neither http/],
    ['serve --strictness lax', /Allowed choices are safe, linux/],
    ['serve --ephemeral --data /var/lib/ktextd', /exclude one another/],
    ['serve --listen nowhere', /HOST:PORT or unix:PATH/],
    ['serve --listen 0.0.0.0:0', /needs --token-file/],
    ['serve --token-file /nonexistent', /cannot read the token file/],
    ['serve --log-level loud --listen 127.0.0.1:0', /unknown log level/],
  ];
  for (const [line, expected] of cases) {
    const { code, err } = await ktextd(line);
    assert.equal(code, 2, `${line}: ${err}`);
    assert.match(err, expected, line);
  }
  assert.equal((await ktextd('--help')).code, 0);
  assert.equal((await ktextd('--version')).out, '1.2.3\n');
});

test('an unreachable service: exit status 3', async (t) => {
  const { ktextd } = await cli(t);
  const { code, err } = await ktextd('ls --server http://127.0.0.1:1');
  assert.equal(code, 3);
  assert.equal(err, 'ktextd: 127.0.0.1:1 does not answer: ECONNREFUSED\n');
});

test('the token comes from the environment', async (t) => {
  const { ktextd, fake } = await cli(t, 'alpha aaaaaaaaaaaaaaaaaaaa\n');
  assert.match((await ktextd('ls')).err, /^EACCES: The request has no bearer token/);
  assert.equal((await ktextd('attach fentry:f', { KTEXTD_TOKEN: 'a'.repeat(20) })).code, 0);
  assert.equal(fake.callers[0]?.tenant, 'alpha');
});

test('what serve suggests to try', () => {
  const [symbol, attach, site] = curlLines('http://127.0.0.1:7700', 'f', false);
  assert.equal(symbol, 'curl -s http://127.0.0.1:7700/v1/symbols/f');
  assert.match(String(attach), /-d '\{"kind":"fentry","target":"f"\}' http:\/\/127\.0\.0\.1:7700\/v1\/attachments$/);
  assert.equal(site, 'curl -s http://127.0.0.1:7700/v1/sites/f');
  assert.match(
    String(curlLines('unix:/run/k', 'f', true)[0]),
    /^curl -s --unix-socket '\/run\/k' -H "authorization: Bearer \$KTEXTD_TOKEN" http:\/\/localhost\//,
  );
});
