/** Helpers that ask the kernel for something, both ways: what they answer where a program runs by itself. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { add, call, EXIT, insn, load64, mapValue, mov, movImm, program, storeImm64 } from '../support/bpf-code.ts';
import { made, one, run, spec, stackAt, value } from './support/run-helpers.ts';

const EINVAL = -22n;
const EFAULT = -14n;

describe('helpers of the kernel, both ways', () => {
  it('answer as a kernel thread of the root cgroup is answered, on a CPU without a record of branches', () => {
    const buffer = program(stackAt(1, -8), movImm(2, 8));
    const TASK = -0x5000_0000;
    const cases: readonly (readonly [string, string, bigint])[] = [
      ['probe_write_user', program(movImm(1, 64), stackAt(2, -8), movImm(3, 8), call(36)), -1n],
      ['send_signal', program(movImm(1, 9), call(109)), -1n],
      ['send_signal_thread', program(movImm(1, 9), call(117)), -1n],
      ['get_current_cgroup_id', call(80), 1n],
      ['get_current_ancestor_cgroup_id', program(movImm(1, 0), call(123)), 1n],
      ['no ancestor', program(movImm(1, 3), call(123)), 0n],
      ['copy_from_user', program(buffer, movImm(3, 64), call(148)), EFAULT],
      ['copy_from_user of nothing', program(stackAt(1, -8), movImm(2, 0), movImm(3, 64), call(148)), 0n],
      ['copy_from_user_task', program(buffer, movImm(3, 64), movImm(4, TASK), movImm(5, 0), call(191)), EFAULT],
      ['with flags', program(buffer, movImm(3, 64), movImm(4, TASK), movImm(5, 1), call(191)), EINVAL],
      ['get_branch_snapshot', program(buffer, movImm(3, 0), call(176)), -2n],
      ['with flags', program(buffer, movImm(3, 1), call(176)), EINVAL],
      ['find_vma', program(movImm(1, TASK), movImm(2, 0), movImm(3, 0), movImm(4, 0), movImm(5, 0), call(180)), -2n],
      [
        'get_task_stack of another',
        program(movImm(1, TASK), stackAt(2, -8), movImm(3, 8), movImm(4, 0), call(141)),
        EFAULT,
      ],
      ['of its own', program(call(35), mov(1, 0), stackAt(2, -8), movImm(3, 8), movImm(4, 0), call(141)), 0n],
    ];
    for (const [what, code, answered] of cases)
      assert.equal(value(run(program(storeImm64(10, -8, 77), code, EXIT), [])), answered, what);
    const zeroed = program(storeImm64(10, -8, 77), buffer, movImm(3, 64), call(148), load64(0, 10, -8), EXIT);
    assert.equal(value(run(zeroed, [])), 0n, 'what was not copied is 0');
    const since2020 = 1_577_836_800_000_000_000n;
    assert.ok(BigInt(one(program(call(208), EXIT)) ?? 0) > since2020);
  });

  it('take a lock and give it back, which no update touches', () => {
    const locked = made(1, spec('array', { valueSize: 16, maxEntries: 1, spinLock: 8 }));
    const at = (helper: number): string => program(mapValue(1, 0, 8), call(helper));
    const taken = program(at(93), mapValue(6, 0), storeImm64(6, 0, 5), insn(0x61, 7, 6, 8), at(94));
    const done = run(program(taken, insn(0x61, 0, 6, 8), insn(0x67, 0, 0, 0, 8), add(0, 7), EXIT), [locked]);
    assert.equal(value(done), 1n, 'held, then free');
    assert.deepEqual(
      done.writes.map(({ bytes }) => bytes),
      ['05'],
    );
  });

  it('have no memory of the kernel when a program runs by itself', () => {
    assert.equal(value(run(program(movImm(1, 64), movImm(2, 0), call(153), EXIT), [])), 0n);
    assert.equal(value(run(program(movImm(1, 64), call(154), EXIT), [])), 64n);
  });
});
