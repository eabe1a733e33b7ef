import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startProcess } from './service-process.ts';
import { type SoakTotals, soak, soakFindings } from './soak.ts';

const SECONDS = 60;
const SEED = 20191022;

describe('a soak', () => {
  it(`of ${SECONDS} s leaves memory and handles flat`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'ktextd-soak-'));
    const service = await startProcess(join(root, 'data'), join(root, 'cache'), ['--log-level', 'silent']);
    try {
      const totals = await soak(service, { seed: SEED, seconds: SECONDS });
      assert.deepEqual(soakFindings(totals), [], JSON.stringify(totals));
      assert.ok(totals.requests > SECONDS, `${totals.requests} requests are no load`);
      process.stdout.write(`# ${JSON.stringify(totals)}\n`);
    } finally {
      await service.stop();
      rmSync(root, { recursive: true, force: true });
    }
  });

  it('would report what it looks for (canary)', () => {
    const flat = { rssMb: 200, handles: 30 };
    const totals: SoakTotals = { requests: 1, idleP99Ms: 1, besideP99Ms: 1, warm: flat, end: flat, attached: 0 };
    assert.deepEqual(soakFindings(totals), []);
    assert.match(soakFindings({ ...totals, end: { ...flat, rssMb: 400 } }).join(), /memory grew/);
    assert.match(soakFindings({ ...totals, end: { ...flat, handles: 90 } }).join(), /handles grew/);
    assert.match(soakFindings({ ...totals, attached: 3 }).join(), /3 attachments are left/);
  });
});
