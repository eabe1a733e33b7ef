import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hostileRun } from './hostile-run.ts';
import { startProcess } from './service-process.ts';

const SEED = Number(process.env['HOSTILE_SEED'] ?? 20191022);
const REQUESTS = 20_000;
/** Sockets of requests that were under way. */
const HANDLES_GROWN_MAX = 4;
/** V8 takes what it needs for a burst and keeps it. A leak of a kilobyte a request would be 20 MB on top. */
const RSS_GROWN_MAX_MB = 150;

describe('hostile requests', () => {
  it(`${REQUESTS} of them are refused, change nothing and leave nothing behind`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'ktextd-hostile-'));
    const service = await startProcess(join(root, 'data'), join(root, 'cache'), ['--log-level', 'silent']);
    try {
      const totals = await hostileRun(service, { seed: SEED, requests: REQUESTS });
      const said = `replay: HOSTILE_SEED=${SEED} npx tsx scripts/test.ts test/chaos/hostile.test.ts\n${JSON.stringify(totals)}`;
      assert.ok((totals.byStatus['400'] ?? 0) > REQUESTS / 4, `they are not even malformed\n${said}`);
      assert.ok(totals.handlesGrown <= HANDLES_GROWN_MAX, said);
      assert.ok(totals.rssGrownMb < RSS_GROWN_MAX_MB, said);
      process.stdout.write(`# ${JSON.stringify(totals)}\n`);
    } finally {
      await service.stop();
      rmSync(root, { recursive: true, force: true });
    }
  });
});
