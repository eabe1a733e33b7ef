import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { killRounds } from './kill-nine.ts';
import { Oracle, type Wish } from './oracle.ts';

const ROUNDS = 6;

describe('kill -9 under load', () => {
  it('loses nothing acknowledged and keeps nothing in half', async () => {
    const totals = await killRounds({ seed: 20191022, rounds: ROUNDS, clients: 32 });
    assert.equal(totals.rounds, ROUNDS);
    assert.ok(totals.acknowledged > 30, `${totals.acknowledged} acknowledged changes are no load`);
  });

  it('would be reported: a lost, a doubled and a resurrected attachment (canary)', () => {
    const wish: Wish = { key: 'k', client: 'c', body: { kind: 'fentry', target: 'tcp_set_state' } };
    const oracle = new Oracle();
    oracle.attachAnswered(wish, 'att_1');
    assert.throws(() => oracle.check([]), /acknowledged and lost: att_1/);
    assert.throws(() => oracle.check([{ id: 'att_1' }, { id: 'att_2' }]), /nobody was told of att_2/);
    oracle.detachAnswered('att_1');
    assert.throws(() => oracle.check([{ id: 'att_1' }]), /there again/);
    oracle.check([]);
  });
});
