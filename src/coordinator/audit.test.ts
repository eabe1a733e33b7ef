import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { caller } from '../../test/support/coordinators.ts';
import { builtinImage } from '../../test/support/images.ts';
import { err, fromHex, ManualClock, ok, seededPrng, textOffset, toHex } from '../base/index.ts';
import type { AttachRequest, Strictness } from '../registry/index.ts';
import { textPoke } from '../textpoke/index.ts';
import { audit } from './audit.ts';
import type { CommandTurn } from './command.ts';
import { attach, detach } from './commands.ts';
import { Kernel } from './kernel.ts';
import { patchedSites } from './queries.ts';
import { reset } from './reset.ts';

const ME = caller('test');

async function bootedKernel(strictness: Strictness): Promise<Kernel> {
  return new Kernel({ image: await builtinImage(), strictness, clock: new ManualClock(), prng: seededPrng(1) });
}

const siteOf = (kernel: Kernel, name: string): number => (kernel.world.image.symbols.offsetOf(name) as number) + 4;

/** Writes text behind the registry's back, as a foreign module would: under text_mutex, through text_poke, and owned by nobody. */
async function vandalize(kernel: Kernel, at: number, bytes: string): Promise<void> {
  const run = ({ held }: CommandTurn) => {
    const poked = textPoke(held, kernel.text, {
      at: textOffset(at),
      expected: kernel.text.bytes(at, bytes.length / 2),
      bytes: fromHex(bytes) ?? new Uint8Array(),
      by: { client: 'vandal', kind: 'module', reason: 'vandal' },
      notExecuting: 'no CPU runs',
    });
    return poked.ok ? ok(true) : err({ errno: 'EINVAL' as const, rule: 'test', detail: 'mismatch' });
  };
  const done = await kernel.execute({ kind: 'vandal', describe: () => 'vandal', run }, ME, {});
  assert.ok(done.ok);
}

const refusal = async (kernel: Kernel, request: AttachRequest) => {
  const answer = await attach(kernel, ME, request, {});
  assert.ok(!answer.ok, `${request.kind} was granted`);
  return answer.fault;
};

const FENTRY: AttachRequest = { kind: 'fentry', target: 'tcp_set_state' };

describe('the audit', () => {
  it('finds nothing in a kernel that has booted', async () => {
    const kernel = await bootedKernel('safe');
    const { bytesChecked, differing, attributed, orphans } = audit(kernel);
    assert.deepEqual({ differing, attributed, orphans }, { differing: 0, attributed: 0, orphans: [] });
    assert.ok(bytesChecked > 16_000);
  });

  it('counts what owners account for: the call and all generated code', async () => {
    const kernel = await bootedKernel('safe');
    const attached = await attach(kernel, ME, FENTRY, {});
    assert.ok(attached.ok);
    const { differing, attributed, orphans } = audit(kernel);
    assert.deepEqual(orphans, []);
    assert.equal(differing, attributed);
    assert.ok(differing > 100);
    assert.ok((await detach(kernel, ME, attached.value.id)).ok);
    assert.equal(audit(kernel).differing, 0);
  });

  it('reports a byte that nobody owns', async () => {
    const kernel = await bootedKernel('safe');
    const at = siteOf(kernel, 'tcp_set_state');
    await vandalize(kernel, at, 'cc');
    const { differing, attributed, orphans } = audit(kernel);
    const address = `0x${(kernel.world.image.base + BigInt(at)).toString(16)}`;
    assert.deepEqual({ differing, attributed }, { differing: 1, attributed: 0 });
    assert.deepEqual(orphans, [{ address, length: 1, expected: '0f', actual: 'cc' }]);
  });

  it('reports a byte of an owner’s that somebody put back', async () => {
    const kernel = await bootedKernel('safe');
    const target = 'tcp_set_state';
    const at = siteOf(kernel, target);
    assert.ok((await attach(kernel, ME, { kind: 'ftrace', target }, {})).ok);
    const call = toHex(kernel.text.bytes(at, 5));
    await vandalize(kernel, at, '0f1f440000');
    const { orphans } = audit(kernel);
    assert.equal(orphans.length, 1);
    assert.equal(orphans[0]?.expected, call);
    assert.equal(orphans[0]?.actual, '0f1f440000');
  });
});

describe('bytes that no owner accounts for', () => {
  it('quarantine the site in safe strictness; everything else goes on', async () => {
    const kernel = await bootedKernel('safe');
    const at = siteOf(kernel, 'tcp_set_state');
    await vandalize(kernel, at, 'cc');
    const fault = await refusal(kernel, FENTRY);
    assert.deepEqual(
      { errno: fault.errno, rule: fault.rule, expected: fault.expected, actual: fault.actual, place: fault.place },
      {
        errno: 'EBUSY',
        rule: 'site.unexpected-bytes',
        expected: '0f1f440000',
        actual: 'cc1f440000',
        place: 'tcp_set_state+0x4',
      },
    );
    assert.equal(toHex(kernel.text.bytes(at, 5)), 'cc1f440000', 'nothing was written');
    assert.deepEqual(patchedSites(kernel.view(), 'quarantined'), [at]);
    assert.equal(kernel.events.after(0, 100).filter((event) => event.type === 'quarantined').length, 1);

    await vandalize(kernel, at, '0f');
    assert.equal((await refusal(kernel, FENTRY)).rule, 'site.quarantined', 'still, although the byte is back');
    assert.ok((await attach(kernel, ME, { kind: 'fentry', target: 'vfs_read' }, {})).ok);
    assert.ok((await reset(kernel, ME, true)).ok);
    assert.ok((await attach(kernel, ME, FENTRY, {})).ok);
  });

  it('are the end of ftrace in linux strictness, until a reset', async () => {
    const kernel = await bootedKernel('linux');
    const before = await attach(kernel, ME, { kind: 'ftrace', target: 'vfs_read' }, {});
    assert.ok(before.ok);
    await vandalize(kernel, siteOf(kernel, 'tcp_set_state'), 'cc');
    const fault = await refusal(kernel, FENTRY);
    assert.deepEqual([fault.errno, fault.rule, fault.actual], ['ENODEV', 'ftrace.disabled', 'cc1f440000']);
    for (const kind of ['ftrace', 'ftrace_direct', 'fentry', 'kprobe', 'kretprobe'] as const)
      assert.equal((await refusal(kernel, { kind, target: 'do_mmap' })).errno, 'ENODEV', kind);
    const frozen = await detach(kernel, ME, before.value.id);
    assert.ok(!frozen.ok);
    assert.equal(frozen.fault.errno, 'ENODEV');
    assert.ok(
      (await attach(kernel, ME, { kind: 'kprobe', target: 'tcp_set_state+0x9' }, {})).ok,
      'int3 needs no ftrace',
    );
    assert.ok((await reset(kernel, ME, true)).ok);
    assert.equal(audit(kernel).differing, 0);
    assert.ok((await attach(kernel, ME, FENTRY, {})).ok);
  });

  it('in a function body quarantine the place in both strictnesses', async () => {
    for (const strictness of ['safe', 'linux'] as const) {
      const kernel = await bootedKernel(strictness);
      const probe = await attach(kernel, ME, { kind: 'kprobe', target: 'tcp_set_state+0x9' }, {});
      assert.ok(probe.ok);
      await vandalize(kernel, siteOf(kernel, 'tcp_set_state') + 5, '90');
      const left = await detach(kernel, ME, probe.value.id);
      assert.ok(!left.ok);
      assert.deepEqual(
        [left.fault.rule, left.fault.expected, left.fault.actual],
        ['site.unexpected-bytes', 'cc', '90'],
      );
      assert.equal(audit(kernel).orphans.length, 1);
      assert.ok((await reset(kernel, ME, true)).ok);
      assert.equal(audit(kernel).differing, 0);
    }
  });
});
