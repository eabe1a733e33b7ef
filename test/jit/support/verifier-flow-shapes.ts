/**
 * Programs with the shapes of Linux's own verifier tests (facts: tools/testing/selftests/bpf/progs/verifier_*.c of 6.12, verdict and message), written
 * anew. Each is [what, source, refusal]; a refusal is the errno and the phrase that its last message has.
 */
import { ANY, END, MEMORY_SHAPES, OUT, type Shape, VALUE } from './verifier-shapes.ts';

const RESERVE = 'lddw map_fd %r1, 3\nmov %r2, 8\nmov %r3, 0\ncall 131';

const MAPS: readonly Shape[] = [
  [
    'a look-up in a ring buffer',
    `stdw [%r10-8], 0\nmov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 3\ncall 1\n${END}`,
    ['EACCES', 'invalid zero-sized read'],
  ],
  [
    'a record of a hash',
    'lddw map_fd %r1, 1\nmov %r2, 8\nmov %r3, 0\ncall 131\nmov %r0, 0\nexit',
    ['EINVAL', 'cannot pass map_type 1 into func bpf_ringbuf_reserve#131'],
  ],
  [
    'a tail call through a hash',
    'lddw map_fd %r2, 1\nmov %r3, 0\ncall 12\nmov %r0, 0\nexit',
    ['EINVAL', 'cannot pass map_type 1 into func bpf_tail_call#12'],
  ],
  ['a key on the stack that nothing was written to', `mov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 1\ncall 1\n${END}`],
  [
    'a key that is a number',
    `mov %r2, 5\nlddw map_fd %r1, 1\ncall 1\n${END}`,
    ['EACCES', 'R2 type=scalar expected=fp'],
  ],
  [
    'a map pointer that was moved',
    `lddw map_fd %r1, 1\nadd %r1, 8\nmov %r2, %r10\nadd %r2, -8\ncall 1\n${END}`,
    ['EACCES', 'R1 pointer arithmetic on map_ptr prohibited'],
  ],
  [
    'a write through a map pointer, of which there are no types here',
    `lddw map_fd %r1, 1\nstdw [%r1], 0\n${END}`,
    ['ENOTSUPP', 'map_ptr access not supported without CONFIG_DEBUG_INFO_BTF'],
  ],
  ['a map that is not there', `lddw map_fd %r1, 77\n${END}`, ['EBADF', 'fd 77 is not pointing to valid bpf_map']],
  [
    'an offset past a value that is named directly',
    `lddw map_value %r1, 4\nldxdw %r0, [%r1+41]\n${END}`,
    ['EACCES', 'R1 min value is outside of the allowed memory range'],
  ],
];

const REFERENCES: readonly Shape[] = [
  [
    'a record discarded on one path alone',
    `${RESERVE}\njeq %r0, 0, out\nmov %r6, %r0\ncall 7\njeq %r0, 0, out\nmov %r1, %r6\nmov %r2, 0\ncall 133\n${OUT}`,
    ['EINVAL', 'Unreleased reference'],
  ],
  [
    'a record discarded twice',
    `${RESERVE}\njeq %r0, 0, out\nmov %r6, %r0\nmov %r1, %r6\nmov %r2, 0\ncall 133\nmov %r1, %r6\nmov %r2, 0\ncall 133\n${OUT}`,
    ['EACCES', 'type=scalar expected=ringbuf_mem'],
  ],
  [
    'a record that is null, which needs nothing',
    `${RESERVE}\njne %r0, 0, some\nmov %r0, 0\nexit\nsome: mov %r1, %r0\nmov %r2, 0\ncall 132\n${END}`,
  ],
  [
    'a value submitted',
    `${VALUE}\nmov %r1, %r0\nmov %r2, 0\ncall 132\n${OUT}`,
    ['EACCES', 'R1 type=map_value expected=ringbuf_mem'],
  ],
  [
    'a record released by a function',
    `${RESERVE}\njeq %r0, 0, out\nmov %r1, %r0\ncall local f\n${OUT}\nf: mov %r2, 0\ncall 132\nmov %r0, 0\nexit`,
  ],
  [
    'a record that a function makes and returns',
    `call local f\njeq %r0, 0, out\nmov %r1, %r0\nmov %r2, 0\ncall 132\n${OUT}\nf: ${RESERVE}\nexit`,
  ],
  [
    'a tail call with a record in hand',
    `mov %r7, %r1\n${RESERVE}\njeq %r0, 0, out\nmov %r6, %r0\nmov %r1, %r7\nlddw map_fd %r2, 5\nmov %r3, 0\ncall 12\nmov %r1, %r6\nmov %r2, 0\ncall 132\n${OUT}`,
    ['EINVAL', 'tail_call would lead to reference leak'],
  ],
  [
    'a size that is not a constant',
    `${ANY}\nand %r6, 8\nlddw map_fd %r1, 3\nmov %r2, %r6\nmov %r3, 0\ncall 131\n${END}`,
    ['EACCES', 'R2 is not a known constant'],
  ],
];

const FLOW: readonly Shape[] = [
  [
    'a loop with a counter on the stack',
    `stdw [%r10-8], 0\nl: ldxdw %r1, [%r10-8]\nadd %r1, 1\nstxdw [%r10-8], %r1\njlt %r1, 20, l\n${END}`,
  ],
  [
    'a loop that steps over its end',
    `mov %r1, 1\nl: jeq %r1, 10, out\nadd %r1, 2\nja l\n${OUT}`,
    ['E2BIG', 'BPF program is too large'],
  ],
  ['a jump to itself', 'l: ja l\nmov %r0, 0\nexit', ['EINVAL', 'unreachable insn']],
  [
    'two functions that call each other',
    `call local f\n${END}\nf: call local g\nexit\ng: call local f\nexit`,
    ['E2BIG', 'the call stack of 9 frames is too deep'],
  ],
  [
    'a function that loses R1 to R5',
    `mov %r1, 1\ncall local f\nmov %r0, %r1\nexit\nf: mov %r0, 0\nexit`,
    ['EACCES', 'R1 !read_ok'],
  ],
  ['a function that keeps R6 to R9', `mov %r6, 0\ncall local f\nmov %r0, %r6\nexit\nf: mov %r6, 7\nmov %r0, 0\nexit`],
  [
    'a function that returns a value of a map',
    `call local f\njeq %r0, 0, out\nstb [%r0], 0\n${OUT}\nf: stdw [%r10-8], 0\nmov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 1\ncall 1\nexit`,
  ],
  [
    'a function that writes beyond the stack of its caller',
    `mov %r1, %r10\ncall local f\n${END}\nf: stdw [%r1+8], 0\nmov %r0, 0\nexit`,
    ['EACCES', 'invalid write to stack R1 off=8 size=8'],
  ],
  [
    'a context that was spilled on one path and is a number on the other',
    `${ANY.replace('call 7', 'mov %r9, %r1\ncall 7')}\nstxdw [%r10-8], %r9\njeq %r6, 0, l\nstxdw [%r10-8], %r6\nl: ldxdw %r1, [%r10-8]\nldxdw %r0, [%r1]\n${END}`,
    ['EACCES', "R1 invalid mem access 'scalar'"],
  ],
  [
    'a register that only one path wrote',
    `${ANY}\njeq %r6, 0, l\nmov %r7, 1\nl: mov %r0, %r7\nexit`,
    ['EACCES', 'R7 !read_ok'],
  ],
  [
    'a state that may not stand for a worse one',
    `${VALUE}\nmov %r9, %r0\ncall 7\nmov %r6, 0\njeq %r0, 0, l\nmov %r6, 100\nl: add %r9, %r6\nstb [%r9], 0\n${OUT}`,
    ['EACCES', 'R9 min value is outside of the allowed memory range'],
  ],
  [
    'a last instruction that is no end',
    'mov %r0, 0\nexit\nmov %r0, 0\nja -3'.replace('ja -3', 'exit'),
    ['EINVAL', 'unreachable insn 2'],
  ],
];

export const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  ...MEMORY_SHAPES,
  maps: MAPS,
  references: REFERENCES,
  'control flow': FLOW,
};
