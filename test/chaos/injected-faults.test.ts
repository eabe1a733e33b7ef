import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { faultRounds } from './injected-faults.ts';

describe('injected faults under load', () => {
  it('leave what clients were told, and nothing else', async () => {
    const totals = await faultRounds({ seed: 20191022, rounds: 2, clients: 8, faults: 40 });
    assert.equal(totals.rounds, 2);
    assert.ok(totals.acknowledged > 20, `${totals.acknowledged} acknowledged changes are no load`);
    const fired = Object.values(totals.fired).reduce((sum, count) => sum + count, 0);
    assert.ok(fired >= 10 && totals.refused > 0, `${JSON.stringify(totals.fired)}: too little has failed`);
    assert.equal(totals.killed, 2, 'each round ends with the process');
  });
});
