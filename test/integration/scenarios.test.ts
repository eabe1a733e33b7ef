/**
 * Every file of examples/scenarios against a service over real sockets: with all clients at once, and one request at a time in orders that follow
 * from a seed. Goal: each client is told what the file says; nobody's bytes stay behind. Method: the command that users have, in this process.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ok, systemClock, systemPrng } from '../../src/base/index.ts';
import { run } from '../../src/cli/program.ts';
import { parseScenario } from '../../src/cli/scenario/scenario-file.ts';
import { createCoordinator } from '../../src/coordinator/index.ts';
import { createLogger, type RunningService, startService } from '../../src/server/index.ts';
import { builtinImage } from '../support/images.ts';

const FOLDER = 'examples/scenarios';
const SEEDS = [1, 2, 3];

let service: RunningService;

interface Report {
  readonly isMet: boolean;
  readonly steps: readonly { readonly step: string; readonly client: string; readonly unmet: readonly string[] }[];
}

async function scenario(file: string, ...flags: readonly string[]) {
  let out = '';
  let err = '';
  const io = { out: (text: string) => (out += text), err: (text: string) => (err += text), env: {} };
  const code = await run(['scenario', 'run', file, '--server', service.address, '--json', ...flags], io, '0');
  return { code, err, report: out === '' ? undefined : (JSON.parse(out) as Report) };
}

/** A file of the folder with one thing changed. */
async function changed(name: string, change: (text: string) => string, ...flags: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-scenario-'));
  try {
    const file = join(folder, 'changed.json');
    writeFileSync(file, change(readFileSync(join(FOLDER, name), 'utf8')));
    return await scenario(file, ...flags);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('scenarios', () => {
  before(async () => {
    service = await startService({
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      log: createLogger('silent'),
      open: async () =>
        ok(
          createCoordinator({ image: await builtinImage(), strictness: 'safe', clock: systemClock, prng: systemPrng }),
        ),
    });
    assert.ok((await service.opened).ok);
  });
  after(() => service.stop('test over'));

  for (const name of readdirSync(FOLDER).filter((file) => file.endsWith('.json'))) {
    const file = join(FOLDER, name);
    it(`${name}, all at once`, async () => {
      const { code, report, err } = await scenario(file);
      assert.equal(
        code,
        0,
        `${err}${JSON.stringify(
          report?.steps.filter(({ unmet }) => unmet.length > 0),
          null,
          1,
        )}`,
      );
    });
    for (const seed of SEEDS)
      it(`${name}, in the order of seed ${seed}`, async () => {
        const { code, report } = await scenario(file, '--seed', String(seed));
        assert.equal(code, 0, `replay: ktextd scenario run ${file} --seed ${seed}\n${JSON.stringify(report, null, 1)}`);
      });
  }

  it('go the same way again with the same seed, and other ways with others', async () => {
    const order = async (seed: number) => {
      const { report } = await scenario(join(FOLDER, 'ipmodify-race.json'), '--seed', String(seed));
      return report?.steps.map(({ client }) => client).join();
    };
    assert.equal(await order(7), await order(7));
    assert.notEqual(await order(7), await order(8));
  });

  it('canary: what is not as the file says is reported, and the exit status says so', async () => {
    const { code, report } = await changed('ipmodify-race.json', (text) =>
      text.replace('"granted": 1', '"granted": 2'),
    );
    assert.equal(code, 1);
    assert.deepEqual(
      report?.steps.filter(({ unmet }) => unmet.length > 0).map(({ unmet }) => unmet),
      [['2 should be granted, 1 were']],
    );
  });

  it('canary: a refusal by another rule is reported', async () => {
    const { code } = await changed('seed.json', (text) => text.replace('ftrace.ipmodify.exclusive', 'ftrace.other'));
    assert.equal(code, 1);
  });

  it('are not run where they do not belong', async () => {
    const { code, err } = await changed('seed.json', (text) => text.replace('"safe"', '"linux"'));
    assert.equal(code, 1);
    assert.match(err, /needs strictness linux/);
  });

  const broken: readonly (readonly [string, string, RegExp])[] = [
    ['no JSON', '{', /not JSON/],
    ['an unknown field', '{"title":"t","steps":[{"client":"a","site":"f","what":1}]}', /\/steps\/0\/what is no field/],
    ['no action', '{"title":"t","steps":[{"client":"a"}]}', /steps\[0\]: one of attach/],
    ['two actions', '{"title":"t","steps":[{"client":"a","site":"f","reset":true}]}', /it has site and reset/],
    ['nobody', '{"title":"t","steps":[{"site":"f"}]}', /"client" is missing/],
    ['a name for nothing', '{"title":"t","steps":[{"client":"a","site":"f","as":"x"}]}', /"as" names/],
    [
      'two clients',
      '{"title":"t","steps":[{"together":[{"client":"a","steps":[{"client":"b","site":"f"}]}]}]}',
      /together\[0\]\.steps\[0\]: its client is that of the lane/,
    ],
  ];
  for (const [what, text, message] of broken)
    it(`refuse ${what}`, () => {
      assert.throws(() => parseScenario('file.json', text), message);
    });
});
