import assert from 'node:assert/strict';
import { it } from 'node:test';
import { restartRounds } from './restarts.ts';

const ROUNDS = 3;

it('SIGTERM under load: clients that repeat with their keys lose nothing and get nothing twice, readers of events are told', async () => {
  const totals = await restartRounds({ seed: 20191023, rounds: ROUNDS, clients: 32 });
  assert.equal(totals.rounds, ROUNDS);
  assert.ok(totals.acknowledged > 10, `${totals.acknowledged} acknowledged changes are no load`);
  assert.ok(totals.refused > 0, 'nobody met a service that stops');
  assert.equal(totals.replayed, 0, 'a clean stop leaves nothing to run again');
});
