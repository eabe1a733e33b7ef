/**
 * Programs with the shapes of Linux's own verifier tests (facts: tools/testing/selftests/bpf/progs/verifier_*.c of 6.12, verdict and message), written
 * anew. Each is [what, source, refusal]; a refusal is the errno and the phrase that its last message has.
 */
export type Shape = readonly [what: string, source: string, refused?: readonly [errno: string, phrase: string]];

export const OUT = 'out: mov %r0, 0\nexit';
export const END = 'mov %r0, 0\nexit';
/** R0: 48 bytes of value of map 1, whose key is at R10-8. */
export const VALUE = `stdw [%r10-8], 0
mov %r2, %r10
add %r2, -8
lddw map_fd %r1, 1
call 1
jeq %r0, 0, out`;
/** R6: any number. */
export const ANY = 'call 7\nmov %r6, %r0';
const PROBE_READ = 'mov %r3, 0\ncall 113';
const OUTSIDE_MAX = 'R0 max value is outside of the allowed memory range';
const OUTSIDE_MIN = 'R0 min value is outside of the allowed memory range';

const BOUNDS: readonly Shape[] = [
  [
    'a signed bound from below and an unsigned one from above',
    `${VALUE}\nldxdw %r1, [%r0]\njslt %r1, 0, out\njgt %r1, 47, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
  ],
  [
    'a signed bound from above alone',
    `${VALUE}\nldxdw %r1, [%r0]\njsgt %r1, 47, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  [
    '-1 as an unsigned bound',
    `${VALUE}\nldxdw %r1, [%r0]\nmov %r2, -1\njgt %r1, %r2, out\njsgt %r1, 1, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  [
    '-1 as a signed bound',
    `${VALUE}\nldxdw %r1, [%r0]\nmov %r2, -1\njsle %r1, %r2, out\njsgt %r1, 1, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
  ],
  [
    'a bound of 32 bits on a number of 64',
    `${VALUE}\nldxdw %r1, [%r0]\njgt32 %r1, 47, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  [
    'a bound of 32 bits on a number that was cut to them',
    `${VALUE}\nldxdw %r1, [%r0]\nmov32 %r1, %r1\njgt32 %r1, 47, out\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
  ],
  [
    'a subtraction that may wrap',
    `${VALUE}\nldxb %r1, [%r0]\nldxb %r3, [%r0+1]\nsub %r1, %r3\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', 'R0 min value is negative, either use unsigned index'],
  ],
  [
    'a subtraction whose difference is shifted away',
    `${VALUE}\nldxb %r1, [%r0]\njgt %r1, 255, out\nldxb %r3, [%r0+1]\njgt %r3, 255, out\nsub %r1, %r3\nrsh %r1, 56\nadd %r0, %r1\nldxb %r0, [%r0]\n${OUT}`,
    ['EACCES', OUTSIDE_MAX],
  ],
  [
    'a product that overflows',
    `${VALUE}\nldxw %r1, [%r0]\nmov %r3, %r1\nmul %r1, %r3\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  [
    'a shift to the left and back, of 64 bits',
    `${VALUE}\nmov %r1, 2\nlsh %r1, 31\nrsh %r1, 31\nrsh %r1, 1\nadd %r0, %r1\nstb [%r0+46], 0\n${OUT}`,
  ],
  [
    'a shift of 32 bits that loses what 64 keep',
    `${VALUE}\nmov %r1, -1\nrsh32 %r1, 31\nadd %r0, %r1\nstb [%r0+47], 0\n${OUT}`,
    ['EACCES', OUTSIDE_MIN],
  ],
  [
    'an arithmetic shift of what may be negative',
    `${VALUE}\nldxdw %r1, [%r0]\narsh %r1, 58\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', 'R0 min value is negative'],
  ],
  [
    'an `and` with a negative number',
    `${VALUE}\nldxb %r1, [%r0]\nand %r1, -4\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', OUTSIDE_MAX],
  ],
  [
    'a remainder',
    `${VALUE}\nldxw %r1, [%r0]\nmod %r1, 48\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  [
    'a quotient',
    `${VALUE}\nldxb %r1, [%r0]\ndiv %r1, 8\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
  ['equality with a constant', `${VALUE}\nldxdw %r1, [%r0]\njne %r1, 40, out\nadd %r0, %r1\nstdw [%r0], 0\n${OUT}`],
  [
    'jset, which leaves no bit',
    `${VALUE}\nldxdw %r1, [%r0]\njset %r1, -8, out\nadd %r0, %r1\nstdw [%r0+40], 0\n${OUT}`,
    ['EACCES', OUTSIDE_MAX],
  ],
  [
    'jset, which leaves three bits',
    `${VALUE}\nldxdw %r1, [%r0]\njset %r1, -8, out\nadd %r0, %r1\nstb [%r0+40], 0\n${OUT}`,
  ],
  ['a comparison of what is known, both ways', 'mov %r1, 5\njeq %r1, 5, ok\nldxdw %r0, [%r1]\nok: mov %r0, 0\nexit'],
  [
    'a bound that holds behind a swap of bytes',
    `${VALUE}\nldxw %r1, [%r0]\nbe16 %r1\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EINVAL', 'unbounded min value'],
  ],
];

const EXTENSIONS: readonly Shape[] = [
  [
    'movsx of a byte',
    `${VALUE}\nldxb %r1, [%r0]\nmovsx864 %r1, %r1\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', 'R0 min value is negative'],
  ],
  [
    'movsx of a byte below 128',
    `${VALUE}\nldxb %r1, [%r0]\nand %r1, 31\nmovsx864 %r1, %r1\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
  ],
  [
    'a load that extends the sign',
    `${VALUE}\nldxsb %r1, [%r0]\nadd %r0, %r1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', 'R0 min value is negative'],
  ],
  [
    'a load that extends the sign of what is bounded',
    `${VALUE}\nldxsh %r1, [%r0]\njslt %r1, 0, out\njsgt %r1, 40, out\nadd %r0, %r1\nstdw [%r0], 0\n${OUT}`,
  ],
  [
    'a pointer that movsx cuts',
    `mov %r1, %r10\nmovsx864 %r1, %r1\nstb [%r1], 0\n${END}`,
    ['EACCES', "R1 invalid mem access 'scalar'"],
  ],
  ['a signed division by the constant 0', 'mov %r0, 1\nsdiv %r0, 0\nexit', ['EINVAL', 'div by zero']],
  ['a signed division of the least number by -1', 'lddw %r0, 0x8000000000000000\nsdiv %r0, -1\nexit'],
  ['a division of 32 bits by a register that is 0', 'mov %r0, 1\nmov %r1, 0\ndiv32 %r0, %r1\nmov %r0, 0\nexit'],
  ['a long jump', 'ja32 l\nl: mov %r0, 0\nexit'],
];

const STACK: readonly Shape[] = [
  [
    'a variable offset within what was written',
    `${ANY}\nstdw [%r10-16], 0\nstdw [%r10-8], 0\nand %r6, 8\nmov %r1, %r10\nadd %r1, -16\nadd %r1, %r6\nldxdw %r0, [%r1]\n${END}`,
  ],
  [
    'a variable offset that is not aligned',
    `${ANY}\nstdw [%r10-16], 0\nand %r6, 4\nmov %r1, %r10\nadd %r1, -16\nadd %r1, %r6\nldxdw %r0, [%r1]\n${END}`,
    ['EACCES', 'misaligned stack access off'],
  ],
  [
    'a variable offset below the stack',
    `${ANY}\nand %r6, 8\nsub %r6, 520\nmov %r1, %r10\nadd %r1, %r6\nstdw [%r1], 0\n${END}`,
    ['EACCES', 'invalid variable-offset write to stack R1'],
  ],
  [
    'a variable offset above the stack',
    `${ANY}\nand %r6, 8\nsub %r6, 8\nmov %r1, %r10\nadd %r1, %r6\nstdw [%r1], 0\n${END}`,
    ['EINVAL', 'invalid variable-offset write to stack R1'],
  ],
  [
    'a variable write over a spilled pointer, which is a number from then on',
    `${ANY}\nmov %r7, %r10\nstxdw [%r10-8], %r7\nand %r6, 8\nmov %r1, %r10\nadd %r1, -16\nadd %r1, %r6\nstdw [%r1], 0\nldxdw %r2, [%r10-8]\nstb [%r2-1], 0\n${END}`,
    ['EACCES', "R2 invalid mem access 'scalar'"],
  ],
  [
    'a helper that writes at a variable place',
    `${ANY}\nand %r6, 8\nstdw [%r10-16], 0\nstdw [%r10-8], 0\nmov %r1, %r10\nadd %r1, -16\nadd %r1, %r6\nmov %r2, 8\n${PROBE_READ}\n${END}`,
  ],
  [
    'a helper that writes past R10',
    `mov %r1, %r10\nadd %r1, -8\nmov %r2, 9\n${PROBE_READ}\n${END}`,
    ['EINVAL', 'invalid indirect access to stack R1 off=-8 size=9'],
  ],
  [
    'a helper that writes below the stack',
    `mov %r1, %r10\nadd %r1, -520\nmov %r2, 8\n${PROBE_READ}\n${END}`,
    ['EACCES', 'invalid indirect access to stack R1 off=-520 size=8'],
  ],
  ['a helper that writes nothing', `mov %r1, %r10\nadd %r1, -8\nmov %r2, 0\n${PROBE_READ}\n${END}`],
  [
    'a spilled pointer that a helper overwrites',
    `stxdw [%r10-8], %r10\nmov %r1, %r10\nadd %r1, -8\nmov %r2, 8\n${PROBE_READ}\nldxdw %r1, [%r10-8]\nstb [%r1-1], 0\n${END}`,
    ['EACCES', "R1 invalid mem access 'scalar'"],
  ],
  [
    'a spilled pointer whose first byte is overwritten',
    `stxdw [%r10-8], %r1\nstb [%r10-8], 0\nldxdw %r1, [%r10-8]\nldxdw %r0, [%r1]\n${END}`,
    ['EACCES', "R1 invalid mem access 'scalar'"],
  ],
  [
    'a spilled number of 32 bits, filled with 64',
    `${ANY}\nand %r6, 31\nstxw [%r10-8], %r6\nldxdw %r1, [%r10-8]\nmov %r2, %r10\nsub %r2, %r1\n${END}`,
    ['EINVAL', 'math between fp pointer and register with unbounded min value'],
  ],
  [
    'arithmetic that leaves the stack and comes back',
    `mov %r1, %r10\nadd %r1, 0x7fffffff\nadd %r1, 0x7fffffff\nstb [%r1], 0\n${END}`,
    ['EINVAL', 'is not allowed'],
  ],
  [
    'a pointer to the stack plus a number that is too large',
    `mov %r1, %r10\nadd %r1, -1073741824\nstb [%r1], 0\n${END}`,
    ['EINVAL', 'math between fp pointer and -1073741824 is not allowed'],
  ],
];

const VALUES: readonly Shape[] = [
  [
    'a value behind a comparison with another that is not null',
    `${VALUE}\nmov %r7, %r0\nstdw [%r10-8], 1\nmov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 1\ncall 1\njne %r0, %r7, out\nstb [%r0], 0\n${OUT}`,
  ],
  [
    'a copy made before the check',
    `stdw [%r10-8], 0\nmov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 1\ncall 1\nmov %r6, %r0\njeq %r0, 0, out\nstb [%r6], 0\n${OUT}`,
  ],
  [
    'the other one of two look-ups',
    `${VALUE}\nstdw [%r10-16], 0\nmov %r2, %r10\nadd %r2, -16\nlddw map_fd %r1, 1\nmov %r7, %r0\ncall 1\nstb [%r0], 0\n${OUT}`,
    ['EACCES', "R0 invalid mem access 'map_value_or_null'"],
  ],
  [
    'a value used where it is null',
    `stdw [%r10-8], 0\nmov %r2, %r10\nadd %r2, -8\nlddw map_fd %r1, 1\ncall 1\njne %r0, 0, out\nstb [%r0], 0\n${OUT}`,
    ['EACCES', "R0 invalid mem access 'scalar'"],
  ],
  ['a value added to a value', `${VALUE}\nadd %r0, %r0\n${OUT}`, ['EACCES', 'R0 pointer += pointer prohibited']],
  ['a value shifted', `${VALUE}\nlsh %r0, 1\n${OUT}`, ['EACCES', 'R0 pointer arithmetic with <<= operator prohibited']],
  ['a value divided', `${VALUE}\ndiv %r0, 2\n${OUT}`, ['EACCES', 'R0 pointer arithmetic with /= operator prohibited']],
  [
    'a value negated, which is a number then',
    `${VALUE}\nneg %r0\nstb [%r0], 0\n${OUT}`,
    ['EACCES', "R0 invalid mem access 'scalar'"],
  ],
  [
    'a number minus a value',
    `${VALUE}\nmov %r1, 8\nsub %r1, %r0\n${OUT}`,
    ['EACCES', 'R1 tried to subtract pointer from scalar'],
  ],
  ['a value minus too much', `${VALUE}\nsub %r0, 1\nstb [%r0], 0\n${OUT}`, ['EACCES', 'R0 min value is outside']],
  [
    'a value filled from the stack, with an offset',
    `${VALUE}\nadd %r0, 40\nstxdw [%r10-16], %r0\nldxdw %r1, [%r10-16]\nstdw [%r1], 0\n${OUT}`,
  ],
  [
    'a value of the wrong size, 49 bytes, to a helper',
    `${VALUE}\nmov %r1, %r0\nmov %r2, 49\n${PROBE_READ}\n${OUT}`,
    ['EACCES', 'R1 min value is outside of the allowed memory range'],
  ],
  [
    'a variable part of a value to a helper',
    `${VALUE}\nldxw %r6, [%r0]\nand %r6, 31\nmov %r1, %r0\nadd %r1, %r6\nmov %r2, 16\n${PROBE_READ}\n${OUT}`,
  ],
  [
    'a variable part that is one too large',
    `${VALUE}\nldxw %r6, [%r0]\nand %r6, 63\nmov %r1, %r0\nadd %r1, %r6\nmov %r2, 1\n${PROBE_READ}\n${OUT}`,
    ['EACCES', 'R1 max value is outside of the allowed memory range'],
  ],
  ['a pointer stored into a value', `${VALUE}\nstxdw [%r0], %r10\n${OUT}`],
  ['an atomic on a value', `${VALUE}\nmov %r1, 1\nlock fetch add [%r0], %r1\n${OUT}`],
  [
    'an atomic on a value that is not aligned',
    `${VALUE}\nmov %r1, 1\nlock add [%r0+3], %r1\n${OUT}`,
    ['EACCES', 'misaligned value access off'],
  ],
  ['an atomic exchange of a pointer', `${VALUE}\nmov %r1, %r10\nlock xchg [%r0], %r1\n${OUT}`],
  [
    'an atomic on the stack that is not aligned',
    `stdw [%r10-8], 0\nmov %r1, 1\nlock add32 [%r10-7], %r1\n${END}`,
    ['EACCES', 'misaligned stack access off'],
  ],
  [
    'a compare and exchange whose place is in R0, which is a number by then',
    `${VALUE}\nmov %r1, 1\nlock cmpxchg [%r0], %r1\n${OUT}`,
    ['EACCES', 'misaligned access off'],
  ],
];

export const MEMORY_SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  bounds: BOUNDS,
  'extensions, divisions, long jumps': EXTENSIONS,
  stack: STACK,
  values: VALUES,
};
