import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Clock, ManualClock, systemClock } from '../../src/base/index.ts';
import { Verifications } from '../../src/coordinator/verifications.ts';
import type { VerificationJob } from '../../src/registry/index.ts';

/** `r0 = 0; exit` */
const JOB: VerificationJob = { type: 'fentry', bytecode: 'b7000000000000009500000000000000', maps: [] };

/** Whoever waits has waited long enough. */
const TIME_IS_UP: Clock = {
  now: () => 0,
  monotonicUs: () => 0,
  after: (_ms, callback) => {
    callback();
    return () => undefined;
  },
};

async function withVerifications(clock: Clock, body: (verifications: Verifications) => Promise<void>): Promise<void> {
  const verifications = new Verifications(clock, () => undefined);
  try {
    await body(verifications);
  } finally {
    await verifications.close();
  }
}

describe('verifications', () => {
  it('are done in their thread', () =>
    withVerifications(systemClock, async (verifications) => {
      const verified = await verifications.verify(JOB);
      assert.ok(verified.ok && verified.value.code === JOB.bytecode);
    }));

  it('are refused by bpf.verifier.budget when their time is up', () =>
    withVerifications(TIME_IS_UP, async (verifications) => {
      const refused = await verifications.verify(JOB);
      assert.ok(!refused.ok);
      assert.equal(refused.fault.rule, 'bpf.verifier.budget');
    }));

  it('are refused by program.verifications-busy when too many wait', () =>
    withVerifications(new ManualClock(), async (verifications) => {
      const answers = await Promise.all(Array.from({ length: 300 }, () => verifications.verify(JOB)));
      const refused = answers.filter((answer) => !answer.ok).map((answer) => (answer.ok ? '' : answer.fault.rule));
      assert.ok(refused.length > 0 && refused.length < answers.length);
      assert.deepEqual([...new Set(refused)], ['program.verifications-busy']);
    }));
});
