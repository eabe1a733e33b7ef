/**
 * What Linux 6.12 accepts and refuses, with its errno and message. Facts: tools/testing/selftests/bpf (progs/verifier_*.c, verifier/*.c), which
 * the kernel passes, and kernel/bpf/verifier.c where those are silent; the programs are written anew.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TEST_MAPS, verifyAssembly } from './support/verify-assembly.ts';

interface Case {
  readonly what: string;
  readonly source: string;
  /** Undefined: it is accepted. */
  readonly refused?: readonly [errno: string, message: string];
  readonly type?: 'kprobe' | 'fentry' | 'fexit';
}

/** R0 := the value of key 0 in map 1, 48 bytes, or null. */
const LOOKUP = `stdw [%r10-8], 0
  mov %r2, %r10
  add %r2, -8
  lddw map_fd %r1, 1
  call 1`;
/** The same, and out when it is null. */
const VALUE = `${LOOKUP}
  jeq %r0, 0, out`;
const OUT = `out: mov %r0, 0
  exit`;
const RESERVE = `lddw map_fd %r1, 3
  mov %r2, 8
  mov %r3, 0
  call 131`;

const CASES: readonly Case[] = [
  { what: 'a register that nothing is in', source: 'mov %r0, %r2\nexit', refused: ['EACCES', 'R2 !read_ok'] },
  { what: 'no return value', source: 'exit', refused: ['EACCES', 'R0 !read_ok'] },
  { what: 'a write to R10', source: 'mov %r10, 0\nexit', refused: ['EACCES', 'frame pointer is read only'] },
  {
    what: 'a write to R10 where no path leads to',
    source: 'mov %r0, 0\njeq %r0, 0, out\nmov %r10, 0\nout: exit',
  },
  {
    what: 'unreachable code',
    source: 'ja out\nmov %r0, 1\nout: mov %r0, 0\nexit',
    refused: ['EINVAL', 'unreachable insn 1'],
  },
  { what: 'division by the constant 0', source: 'mov %r0, 1\ndiv %r0, 0\nexit', refused: ['EINVAL', 'div by zero'] },
  { what: 'a shift by the width', source: 'mov %r0, 1\nlsh32 %r0, 32\nexit', refused: ['EINVAL', 'invalid shift 32'] },

  {
    what: 'stack below 512 bytes',
    source: 'stdw [%r10-520], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'invalid write to stack R10 off=-520 size=8'],
  },
  {
    what: 'stack above R10',
    source: 'stdw [%r10+8], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'invalid write to stack R10 off=8 size=8'],
  },
  {
    what: 'stack that is not aligned',
    source: 'mov %r2, %r10\nadd %r2, -12\nstdw [%r2], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'misaligned stack access off 0+-12+0 size 8'],
  },
  { what: 'stack that was never written, which may be anything', source: 'ldxdw %r0, [%r10-8]\nexit' },
  {
    what: 'half a spilled pointer',
    source: 'stxdw [%r10-8], %r1\nldxw %r0, [%r10-8]\nexit',
    refused: ['EACCES', 'invalid size of register fill'],
  },
  {
    what: 'part of a pointer stored',
    source: 'stxw [%r10-8], %r1\nmov %r0, 0\nexit',
    refused: ['EACCES', 'invalid size of register spill'],
  },
  { what: 'a pointer spilled and filled', source: 'stxdw [%r10-8], %r1\nldxdw %r1, [%r10-8]\nldxdw %r0, [%r1]\nexit' },
  {
    what: 'stack by an unbounded register',
    source: 'ldxdw %r2, [%r1]\nmov %r3, %r10\nadd %r3, %r2\nstb [%r3-1], 0\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'math between fp pointer and register with unbounded min value is not allowed'],
  },

  { what: 'a value within its bounds', source: `${VALUE}\nstdw [%r0+40], 1\n${OUT}` },
  {
    what: 'a value that may be null',
    source: `${LOOKUP}\nstdw [%r0], 1\nmov %r0, 0\nexit`,
    refused: ['EACCES', "R0 invalid mem access 'map_value_or_null'"],
  },
  {
    what: 'arithmetic on what may be null',
    source: `${LOOKUP}\nadd %r0, 8\nmov %r0, 0\nexit`,
    refused: ['EACCES', 'R0 pointer arithmetic on map_value_or_null prohibited, null-check it first'],
  },
  {
    what: 'one byte past a value',
    source: `${VALUE}\nldxdw %r1, [%r0+41]\n${OUT}`,
    refused: ['EACCES', 'R0 min value is outside of the allowed memory range'],
  },
  {
    what: 'an index that may be negative',
    source: `${VALUE}\nldxdw %r1, [%r0]\njsgt %r1, 5, out\nadd %r0, %r1\nldxb %r1, [%r0]\n${OUT}`,
    refused: ['EINVAL', 'math between map_value pointer and register with unbounded min value is not allowed'],
  },
  {
    what: 'an index that is bounded above only',
    source: `${VALUE}\nldxw %r1, [%r0]\nadd %r0, %r1\nldxb %r1, [%r0]\n${OUT}`,
    refused: ['EACCES', 'R0 unbounded memory access, make sure to bounds check any such access'],
  },
  {
    what: 'an index that a comparison bounds',
    source: `${VALUE}\nldxw %r1, [%r0]\njgt %r1, 47, out\nadd %r0, %r1\nldxb %r1, [%r0]\n${OUT}`,
  },
  {
    what: 'an index bounded one too high',
    source: `${VALUE}\nldxw %r1, [%r0]\njgt %r1, 48, out\nadd %r0, %r1\nldxb %r1, [%r0]\n${OUT}`,
    refused: ['EACCES', 'R0 max value is outside of the allowed memory range'],
  },
  {
    what: 'an index bounded by its bits',
    source: `${VALUE}\nldxdw %r1, [%r0]\nand %r1, 31\nadd %r0, %r1\nldxdw %r1, [%r0+8]\n${OUT}`,
  },
  {
    what: 'a bound that holds for a copy',
    source: `${VALUE}\nldxw %r1, [%r0]\nmov %r2, %r1\njgt %r1, 47, out\nadd %r0, %r2\nldxb %r1, [%r0]\n${OUT}`,
  },
  {
    what: 'a bound that holds for a spilled copy',
    source: `${VALUE}\nldxw %r1, [%r0]\nstxdw [%r10-16], %r1\njgt %r1, 47, out\nldxdw %r2, [%r10-16]\nadd %r0, %r2\nldxb %r1, [%r0]\n${OUT}`,
  },
  {
    what: 'or on a pointer',
    source: `${VALUE}\nor %r0, 8\n${OUT}`,
    refused: ['EACCES', 'R0 bitwise operator |= on pointer prohibited'],
  },
  {
    what: '32-bit arithmetic on a pointer',
    source: `${VALUE}\nadd32 %r0, 8\n${OUT}`,
    refused: ['EACCES', 'R0 32-bit pointer arithmetic prohibited'],
  },
  {
    what: 'a pointer added to a pointer',
    source: `${VALUE}\nadd %r0, %r10\n${OUT}`,
    refused: ['EACCES', 'R0 pointer += pointer prohibited'],
  },
  {
    what: 'a number that a frozen map holds',
    source:
      'lddw map_value %r1, 4\nldxw %r2, [%r1]\njne %r2, 42, bad\nmov %r0, 0\nexit\nbad: ldxdw %r0, [%r1+48]\nexit',
  },
  {
    what: 'a write to a map that programs may not write',
    source: 'lddw map_value %r1, 4\nstb [%r1], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'write into map forbidden, value_size=48 off=0 size=1'],
  },

  {
    what: 'a helper that gets no map',
    source: 'mov %r1, 0\nmov %r2, %r10\ncall 1\nexit',
    refused: ['EACCES', 'R1 type=scalar expected=map_ptr'],
  },
  {
    what: 'a key that is too short',
    source: 'lddw map_fd %r1, 1\nmov %r2, %r10\nadd %r2, -4\ncall 1\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'invalid indirect access to stack R2 off=-4 size=8'],
  },
  {
    what: 'a map of the wrong type',
    source: 'lddw map_fd %r1, 5\nmov %r2, %r10\nadd %r2, -8\nstdw [%r10-8], 0\ncall 1\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'cannot pass map_type 3 into func bpf_map_lookup_elem#1'],
  },
  {
    what: 'a helper that does not exist',
    source: 'call 100000\nexit',
    refused: ['EINVAL', 'invalid func unknown#100000'],
  },
  {
    what: 'a helper that is not built',
    source: 'call 9\nexit',
    refused: ['EINVAL', 'program of this type cannot use helper unknown#9'],
  },
  {
    what: 'a size that may be negative',
    source: 'ldxdw %r2, [%r1]\nmov %r1, %r10\nadd %r1, -64\nmov %r3, 0\ncall 113\nmov %r0, 0\nexit',
    refused: ['EACCES', "R2 min value is negative, either use unsigned or 'var &= const'"],
  },
  {
    what: 'a size without a bound',
    source:
      'ldxdw %r2, [%r1]\njslt %r2, 0, out\nmov %r1, %r10\nadd %r1, -64\nmov %r3, 0\ncall 113\nout: mov %r0, 0\nexit',
    refused: ['EACCES', "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'"],
  },
  {
    what: 'a size that its bits bound',
    source: 'ldxdw %r2, [%r1]\nand %r2, 63\nmov %r1, %r10\nadd %r1, -64\nmov %r3, 0\ncall 113\nmov %r0, 0\nexit',
  },

  {
    what: 'a record that is submitted',
    source: `${RESERVE}\njeq %r0, 0, out\nstdw [%r0], 1\nmov %r1, %r0\nmov %r2, 0\ncall 132\n${OUT}`,
  },
  {
    what: 'a record that is kept',
    source: `${RESERVE}\njeq %r0, 0, out\nstdw [%r0], 1\n${OUT}`,
    refused: ['EINVAL', 'Unreleased reference'],
  },
  {
    what: 'a record that may be null, submitted',
    source: `${RESERVE}\nmov %r1, %r0\nmov %r2, 0\ncall 132\nmov %r0, 0\nexit`,
    refused: ['EACCES', 'R1 type=ringbuf_mem_or_null expected=ringbuf_mem'],
  },
  {
    what: 'a record used after it was submitted',
    source: `${RESERVE}\njeq %r0, 0, out\nmov %r6, %r0\nmov %r1, %r0\nmov %r2, 0\ncall 132\nstdw [%r6], 1\n${OUT}`,
    refused: ['EACCES', "R6 invalid mem access 'scalar'"],
  },
  {
    what: 'a record submitted with an offset',
    source: `${RESERVE}\njeq %r0, 0, out\nmov %r1, %r0\nadd %r1, 4\nmov %r2, 0\ncall 132\n${OUT}`,
    refused: ['EINVAL', 'R1 must have zero offset when passed to release func or trusted arg to kfunc'],
  },
  {
    what: 'a write past a record',
    source: `${RESERVE}\njeq %r0, 0, out\nstb [%r0+8], 1\n${OUT}`,
    refused: ['EACCES', 'R0 min value is outside of the allowed memory range'],
  },

  { what: 'a loop of ten rounds', source: 'mov %r1, 0\nl: add %r1, 1\njlt %r1, 10, l\nmov %r0, 0\nexit' },
  {
    what: 'a loop that changes nothing',
    source: 'mov %r0, 0\nmov %r1, 0\nl: jeq %r1, 0, l\nexit',
    refused: ['EINVAL', 'infinite loop detected at insn 2'],
  },
  {
    what: 'a loop whose end is not known',
    source: 'call 7\nmov %r6, 0\nl: call 7\nadd %r6, 1\njne %r6, %r0, l\nmov %r0, 0\nexit',
    refused: ['E2BIG', 'BPF program is too large. Processed 20001 insn'],
  },
  { what: 'a function', source: 'mov %r1, 5\ncall local f\nexit\nf: mov %r0, %r1\nexit' },
  {
    what: 'a function that reads what it was not given',
    source: 'mov %r6, 5\nmov %r1, 0\ncall local f\nexit\nf: mov %r0, %r6\nexit',
    refused: ['EACCES', 'R6 !read_ok'],
  },
  {
    what: 'the stack of the caller',
    source: 'mov %r1, %r10\nadd %r1, -8\ncall local f\nldxdw %r0, [%r10-8]\nexit\nf: stdw [%r1], 7\nmov %r0, 0\nexit',
  },
  {
    what: 'a pointer to its own stack returned',
    source: 'call local f\nmov %r0, 0\nexit\nf: mov %r0, %r10\nexit',
    refused: ['EINVAL', 'cannot return stack pointer to the caller'],
  },
  {
    what: 'a function that calls itself',
    source: 'mov %r1, 1\ncall local f\nexit\nf: mov %r0, 0\njeq %r1, 0, out\ncall local f\nout: exit',
    refused: ['E2BIG', 'the call stack of 9 frames is too deep'],
  },
  {
    what: 'too much stack in two functions',
    source: 'stdw [%r10-300], 0\ncall local f\nexit\nf: stdw [%r10-304], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'misaligned stack access off 0+0+-300 size 8'],
  },
  {
    what: 'too much stack in two functions, aligned',
    source: 'stdw [%r10-304], 0\ncall local f\nexit\nf: stdw [%r10-304], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'combined stack size of 2 calls is 608. Too large'],
  },

  { what: 'pt_regs', source: 'ldxdw %r0, [%r1+112]\nexit' },
  {
    what: 'behind pt_regs',
    source: 'ldxdw %r0, [%r1+168]\nexit',
    refused: ['EACCES', 'invalid bpf_context access off=168 size=8'],
  },
  {
    what: 'a write to the context',
    source: 'stdw [%r1], 0\nmov %r0, 0\nexit',
    refused: ['EACCES', 'invalid bpf_context access off=0 size=8'],
  },
  {
    what: 'an atomic on the context',
    source: 'mov %r2, 1\nlock add [%r1], %r2\nmov %r0, 0\nexit',
    refused: ['EACCES', 'BPF_ATOMIC stores into R1 ctx is not allowed'],
  },
  {
    what: 'the last byte of a value by its address',
    source: 'lddw map_value %r1, 0x2f00000002\nstb [%r1], 4\nmov %r0, 0\nexit',
  },
  {
    what: 'an address behind a value',
    source: 'lddw map_value %r1, 0x3000000002\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'invalid access to map value pointer, value_size=48 off=48'],
  },
  {
    what: 'an address that wraps around to the value',
    source: 'mov %r0, 1\nlddw map_value %r1, 0xffffffff00000002\nstxdw [%r1+4], %r0\nexit',
    refused: ['EINVAL', 'direct value offset of 4294967295 is not allowed'],
  },
  {
    what: 'the address of a value among several',
    source: 'lddw map_value %r1, 6\nmov %r0, 0\nexit',
    refused: ['ENOTSUPP', 'invalid access to map value pointer, value_size=48 off=0'],
  },
  {
    what: 'the address of a value in a hash table',
    source: 'lddw map_value %r1, 0\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'no direct value access support for this map type'],
  },
  {
    what: 'a map with an offset',
    source: 'lddw map_fd %r1, 0x100000002\nmov %r0, 0\nexit',
    refused: ['EINVAL', 'unrecognized bpf_ld_imm64 insn'],
  },
  {
    what: 'a map that is not there where no path leads to',
    source: 'mov %r0, 0\njeq %r0, 0, out\nlddw map_fd %r1, 77\nout: exit',
    refused: ['EBADF', 'fd 77 is not pointing to valid bpf_map'],
  },
  {
    what: 'a fentry program that returns 1',
    source: 'mov %r0, 1\nexit',
    type: 'fentry',
    refused: ['EINVAL', 'At program exit the register R0 has smin=1 smax=1 should have been in [0, 0]'],
  },
];

describe('the verifier decides as Linux 6.12 does', () => {
  for (const { what, source, refused, type = 'kprobe' } of CASES) {
    it(`${refused === undefined ? 'accepts' : 'refuses'} ${what}`, () => {
      const limit = refused?.[0] === 'E2BIG' ? { maxInstructions: 20_000 } : {};
      const verdict = verifyAssembly(source, { type, ...limit });
      const found = verdict.ok ? undefined : [verdict.fault.errno, verdict.fault.detail];
      assert.deepEqual(found, refused, verdict.ok ? verdict.value.log : verdict.fault.log);
    });
  }

  it('accepts them alike with a checkpoint at every place', () => {
    for (const { what, source, refused, type = 'kprobe' } of CASES) {
      if (refused?.[0] === 'E2BIG') continue;
      const verdict = verifyAssembly(source, { type, checkpointsEverywhere: true });
      assert.equal(verdict.ok, refused === undefined, what);
    }
  });

  it('has a map for every number that the cases name', () => assert.equal(TEST_MAPS.length, 9));
});

describe('the log', () => {
  it('has instruction, state and reason in the kernel’s form', () => {
    const verdict = verifyAssembly(`${VALUE}\nldxdw %r1, [%r0+41]\n${OUT}`);
    assert.ok(!verdict.ok);
    assert.equal(
      verdict.fault.log.replace(/processed .*\n/, ''),
      `0: R1=ctx() R10=fp0
0: (7a) *(u64 *)(r10 -8) = 0          ; R10=fp0 fp-8_w=0
1: (bf) r2 = r10                      ; R2_w=fp0 R10=fp0
2: (07) r2 += -8                      ; R2_w=fp-8
3: (18) r1 = map[id:1]                ; R1_w=map_ptr(map=map_hash_48b,ks=8,vs=48)
5: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,map=map_hash_48b,ks=8,vs=48)
6: (15) if r0 == 0x0 goto pc+1        ; R0_w=map_value(map=map_hash_48b,ks=8,vs=48)
7: (79) r1 = *(u64 *)(r0 +41)
invalid access to map value, value_size=48 off=41 size=8
R0 min value is outside of the allowed memory range
`,
    );
  });

  it('tells ranges as they are known', () => {
    const verdict = verifyAssembly('call 7\nand %r0, 255\nmov %r6, %r0\nlsh %r6, 3\nmov %r0, 0\nexit', { logLevel: 2 });
    assert.ok(verdict.ok);
    assert.match(verdict.value.log, /R0_w=scalar\(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=\(0x0; 0xff\)\)/);
    assert.match(verdict.value.log, /R6_w=scalar\(smin=smin32=0,smax=umax=smax32=umax32=2040,var_off=\(0x0; 0x7f8\)\)/);
  });
});
