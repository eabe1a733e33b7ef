import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex } from '../../base/index.ts';
import { CF, IF, RAX, RBX, ZF } from '../../cpu/index.ts';
import { END, emptyFrame, type Frame, isInterruptible } from './cpu-state.ts';
import { Executor } from './executor.ts';

const executor = new Executor();
const frameAt = (rip: number, rest: Partial<Frame> = {}): Frame => ({ ...emptyFrame('task'), rip, ...rest });

/** Runs instructions one after the other, wherever they lead. */
function run(start: Frame, ...insns: readonly string[]): Frame {
  return insns.reduce((frame, insn) => {
    const done = executor.execute(frame, fromHex(insn) ?? new Uint8Array());
    assert.ok(done.kind === 'next', insn);
    return done.frame;
  }, start);
}

const register = ({ registers }: Frame, index: number): number | undefined => {
  const at = registers.findIndex((value, i) => i % 2 === 0 && value === index);
  return at < 0 ? undefined : registers[at + 1];
};

describe('Executor', () => {
  it('keeps registers, flags and the stack of a frame from one instruction to the next', () => {
    // mov $5,%eax; push %rax; sub $5,%eax; pop %rbx
    const frame = run(frameAt(0x1000), 'b805000000', '50', '83e805', '5b');
    assert.equal(frame.rip, 0x100a);
    assert.equal(register(frame, RBX), 5);
    assert.equal(register(frame, RAX), undefined, 'as it was in the beginning');
    assert.ok((frame.flags & ZF) !== 0 && (frame.flags & CF) === 0);
    assert.deepEqual(frame.stack, []);
  });

  it('goes by the flags that instructions left', () => {
    // je +4, behind xor %eax,%eax and behind test of a register that is not 0
    assert.equal(run(frameAt(0x1000), '31c0', '7404').rip, 0x1008);
    assert.equal(run(frameAt(0x1000), 'b801000000', '85c0', '7404').rip, 0x1009);
  });

  it('calls, and returns to places; the last return ends the call, and its registers with it', () => {
    const inside = run(frameAt(0x1000), 'e8fb0f0000');
    assert.deepEqual([inside.rip, inside.stack], [0x2000, [0x1005]]);
    const back = run(inside, 'b807000000', 'c3');
    assert.deepEqual([back.rip, back.stack, register(back, RAX)], [0x1005, [], 7]);
    const over = run(back, 'c3');
    assert.deepEqual([over.rip, over.registers], [END, []]);
    assert.equal(over.flags, emptyFrame('task').flags);
    // add $8,%rsp: what a trampoline does that has called the function itself
    assert.equal(run(inside, '4883c408', 'c3').rip, END);
  });

  it('answers int3 and leaves the frame', () => {
    assert.deepEqual(executor.execute(frameAt(0x1000), Uint8Array.of(0xcc)), { kind: 'int3' });
  });

  it('knows when interrupts are disabled, and that sti lets one instruction pass', () => {
    const off = run(frameAt(0x1000), 'fa');
    assert.equal(off.flags & IF, 0);
    assert.deepEqual(
      [isInterruptible(off), isInterruptible(run(off, 'fb')), isInterruptible(run(off, 'fb', '90'))],
      [false, false, true],
    );
  });

  it('tells when an instruction serialises', () => {
    const serialised = (insn: string): boolean => {
      const done = executor.execute(frameAt(0x1000), fromHex(insn) ?? new Uint8Array());
      return done.kind === 'next' && done.isSerialised;
    };
    assert.deepEqual([serialised('0fa2'), serialised('90')], [true, false]);
  });

  it('says what is not part of a scenario', () => {
    for (const [insn, message] of [
      ['8b00', /read at 0x0: memory that CPUs share/],
      ['0f0b', /#UD/],
      ['f4', /halted is not part/],
      ['ffe0', /it goes to 0x0, where no text is/],
      ['4883c410', /%rsp is moved out/],
    ] as const)
      assert.throws(() => executor.execute(frameAt(0x1000), fromHex(insn) ?? new Uint8Array()), message);
  });
});
