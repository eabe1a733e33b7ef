import assert from 'node:assert/strict';
import { test } from 'node:test';
import { caller, testCoordinator } from '../support/coordinators.ts';
import { kernelImage } from '../support/images.ts';
import { RECORDED_6_1, RECORDED_6_12, realKernel } from '../support/kernels.ts';

/**
 * LSM programs attach to the hook's own function. Recorded: `bpf_lsm_file_open` is granted on 6.1 and its site calls a trampoline; every other
 * kind of function is EINVAL, one that BTF does not know is ENOENT.
 */
const REFUSED = [
  ['security_file_open', 'EINVAL', 'bpf.lsm.not-a-hook'],
  ['do_exit', 'EINVAL', 'bpf.lsm.not-a-hook'],
  ['vfs_read', 'EINVAL', 'bpf.lsm.not-a-hook'],
  ['no_such_function', 'ENOENT', 'bpf.target.no-symbol'],
  ['bpf_lsm_getprocattr', 'EINVAL', 'bpf.lsm.hook-disabled'],
  ['bpf_lsm_xfrm_decode_session', 'EINVAL', 'bpf.lsm.hook-disabled'],
] as const;

for (const name of [RECORDED_6_1, RECORDED_6_12]) {
  const { path, skip } = realKernel(name);
  test(`LSM programs on ${name}`, { skip }, async () => {
    const coordinator = testCoordinator(await kernelImage(path), 'linux');
    for (const [target, errno, rule] of REFUSED) {
      const refused = await coordinator.attach(caller(), { kind: 'lsm', target }, {});
      assert.ok(!refused.ok, target);
      assert.deepEqual([refused.fault.errno, refused.fault.rule], [errno, rule], target);
    }
    const verdict = await coordinator.attach(
      caller(),
      { kind: 'lsm', target: 'bpf_lsm_xfrm_state_pol_flow_match' },
      {},
    );
    assert.ok(verdict.ok, 'it answers yes or no, which programs may');
    assert.ok((await coordinator.detach(caller(), verdict.value.id)).ok);
    const granted = await coordinator.attach(caller(), { kind: 'lsm', target: 'bpf_lsm_file_open' }, {});
    assert.ok(granted.ok);
    assert.equal(granted.value.sites?.[0]?.mechanism, 'ftrace-direct');
    const beside = await coordinator.attach(caller(), { kind: 'fentry', target: 'bpf_lsm_file_open' }, {});
    assert.ok(beside.ok);
    assert.deepEqual(beside.value.sites?.[0]?.chain, [beside.value.id, granted.value.id]);
    assert.equal(coordinator.audit().orphans.length, 0);
    for (const id of [granted.value.id, beside.value.id]) assert.ok((await coordinator.detach(caller(), id)).ok);
    assert.equal(coordinator.audit().differing, 0);
  });
}
