/** A fault that ends a real process, on a real disk. All else about injected faults is in test/integration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '../../src/client/index.ts';
import { serve, temporaryFolder } from './process.ts';

test('in mode exit the process is gone, and at the next start nothing is half there', async (t) => {
  const data = temporaryFolder(t);
  const first = await serve(t, ['--inject-faults', '--data', data]);
  assert.match(first.err(), /^\*\*\* FAULT INJECTION IS ON \(--inject-faults\)/m);
  assert.match(first.out(), /FAULT INJECTION IS ON: for tests only/);
  const client = createClient({ server: first.address });
  const kept = await client.attach({ kind: 'fentry', target: 'tcp_set_state' });
  assert.ok(kept.ok);
  const fault = await client.injectFault({ name: 'crash-between-phases', phase: 20, mode: 'exit', command: 'attach' });
  assert.ok(fault.ok);
  await assert.rejects(client.attach({ kind: 'ftrace', target: { pattern: '*' } }));
  const { err } = await first.finished;
  assert.equal(first.child.signalCode, 'SIGKILL');
  assert.ok(err.includes(`the injected fault ${fault.value.id} (crash-between-phases) ends this process now`));
  const second = await serve(t, ['--data', data]);
  const again = createClient({ server: second.address });
  const [attachments, audit] = [await again.attachments(), await again.audit()];
  assert.ok(attachments.ok && audit.ok);
  assert.deepEqual(
    attachments.value.items.map((each) => each.id),
    [kept.value.id],
  );
  assert.deepEqual(audit.value.orphans, []);
  assert.ok((await again.attach({ kind: 'ftrace', target: { pattern: '*' } })).ok);
  assert.doesNotMatch(second.err() + second.out(), /inject/i);
});
