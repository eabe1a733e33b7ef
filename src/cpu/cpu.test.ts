import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex } from '../base/index.ts';
import { AddressSpace, Cpu, type CpuExit } from './index.ts';

const CODE = 0xffff_ffff_8100_0000n;
const STACK = 0xffff_c900_0000_0000n;
const TOP = STACK + 0x1000n;

/** A CPU about to execute these bytes, with 4 KiB of stack. */
function cpuOn(hex: string): Cpu {
  const space = new AddressSpace();
  space.map({
    name: 'code',
    start: CODE,
    length: 0x1000,
    permissions: 'r-x',
    initial: fromHex(hex.replaceAll(' ', '')) ?? new Uint8Array(),
  });
  space.map({ name: 'stack', start: STACK, length: 0x1000, permissions: 'rw-' });
  const cpu = new Cpu({ number: 0, space });
  cpu.set('rip', CODE);
  cpu.set('rsp', TOP);
  return cpu;
}

const faultOf = (exit: CpuExit): object => (exit.kind === 'fault' ? exit.fault : exit);

describe('Cpu', () => {
  it('calls, returns and ends at the sentinel', () => {
    // mov $5,%edi; call 1f; add $1,%rax; ret; 1: lea (%rdi,%rdi,2),%rax; ret
    const cpu = cpuOn('bf05000000 e805000000 4883c001 c3 488d047f c3');
    cpu.sentinel = 0xdead_0000n;
    assert.equal(cpu.push(0xdead_0000n), true);
    assert.deepEqual(cpu.run(100), { kind: 'returned' });
    assert.equal(cpu.get('rax'), 16n);
    assert.equal(cpu.get('rsp'), TOP);
    assert.equal(cpu.executed, 6);
  });

  it('stops at exactly the budget, whatever the blocks', () => {
    const stepped = cpuOn('4883c001 4883c002 4883c004 ebf2');
    const run = cpuOn('4883c001 4883c002 4883c004 ebf2');
    for (let n = 0; n < 50; n++) {
      assert.deepEqual(stepped.step(), { kind: 'budget' });
      if (n % 7 === 6) assert.deepEqual(run.run(7), { kind: 'budget' });
      if (n % 7 === 6) assert.deepEqual(run.snapshot(), stepped.snapshot());
    }
  });

  it('leaves everything as it was when an instruction faults', () => {
    const cpu = cpuOn('ff35 00f0ff0f');
    const before = cpu.snapshot();
    const at = CODE + 6n + 0x0fff_f000n;
    assert.deepEqual(faultOf(cpu.run(10)), {
      name: '#PF',
      vector: 14,
      address: at,
      access: 'read',
      reason: 'not mapped',
    });
    assert.deepEqual(cpu.snapshot(), before);
  });

  it('stores to code are refused, and so is running data', () => {
    const store = faultOf(cpuOn('c605 00000000 90').run(10));
    assert.deepEqual(store, { name: '#PF', vector: 14, address: CODE + 7n, access: 'write', reason: 'read-only' });
    const jump = cpuOn('ffe4');
    jump.set('rsp', STACK);
    jump.run(1);
    assert.deepEqual(faultOf(jump.run(1)), {
      name: '#PF',
      vector: 14,
      address: STACK,
      access: 'fetch',
      reason: 'not executable',
    });
    assert.throws(() =>
      new AddressSpace().map({ name: 'both', start: 0n, length: 0x1000, permissions: 'rwx' as never }),
    );
  });

  it('names what it does not implement, and tells it from what no processor does', () => {
    assert.deepEqual(faultOf(cpuOn('0f58c1').run(1)), {
      name: 'not-implemented',
      mnemonic: 'addps',
      bytes: Uint8Array.of(0x0f, 0x58, 0xc1),
    });
    assert.deepEqual(faultOf(cpuOn('06').run(1)), { name: '#UD', vector: 6, reason: 'no such instruction' });
  });

  it('traps behind int3 and answers hypercalls behind vmcall', () => {
    const trap = cpuOn('cc');
    assert.deepEqual(trap.run(9), { kind: 'trap', vector: 3, cause: 'int3' });
    assert.equal(trap.get('rip'), CODE + 1n);
    const hypercall = cpuOn('b82a000000 0f01c1');
    assert.deepEqual(hypercall.run(9), { kind: 'hypercall', number: 42 });
    assert.equal(hypercall.get('rip'), CODE + 8n);
  });

  it('executes what its fetch model gives it', () => {
    const { space } = cpuOn('90 90 90 90 90 90');
    const seen: bigint[] = [];
    const stale = Uint8Array.of(0x48, 0xff, 0xc0);
    const cpu = new Cpu({
      number: 1,
      space,
      fetch: {
        fetch: (c, _high, _low, out) => {
          seen.push(c.get('rip'));
          out.set(stale);
          return 3;
        },
        serialised: () => undefined,
      },
    });
    cpu.set('rip', CODE);
    assert.deepEqual(cpu.run(2), { kind: 'budget' });
    assert.deepEqual(seen, [CODE, CODE + 3n]);
    assert.equal(cpu.get('rax'), 2n);
  });
});
