/** Random programs that go near the edges of what they may touch, for the verifier's fuzzer. */
import type { Prng } from '../../../src/base/index.ts';

const pick = <T>(random: Prng, values: readonly T[]): T => values[random.below(values.length)] as T;

/** R0, R3 to R5 and R8 hold numbers most of the time, R6 a map value, R7 the context, R9 the stack or a value. */
const NUMBERS = [0, 2, 3, 4, 5, 8];
const ANY = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const SMALL = [0, 1, 2, 7, 8, 15, 16, 31, 39, 40, 41, 47, 48, 63, -1, -8, 255, 0x7fff_ffff];
const LETTERS = ['b', 'h', 'w', 'dw'];
const OFFSETS = [0, 0, 4, 8, 16, 24, 32, 40, 44, 47];
const COMPARISONS = ['jeq', 'jne', 'jgt', 'jge', 'jlt', 'jle', 'jsgt', 'jsge', 'jslt', 'jsle', 'jset'];
const ATOMICS = ['add', 'and', 'or', 'xor', 'fetch add', 'fetch and', 'xchg', 'cmpxchg'];

function offset(random: Prng): string {
  const off = random.below(4) === 0 ? -8 * (1 + random.below(4)) : pick(random, OFFSETS);
  return off < 0 ? `${off}` : `+${off}`;
}

const number = (random: Prng): string => `%r${pick(random, NUMBERS)}`;

/** Makes one line; its place is told so that labels can be named. */
type Maker = (random: Prng, at: number, lines: number) => string;

const wide = (random: Prng): string => (random.below(3) === 0 ? '32' : '');

/** Jumps go to labels that stand behind or, rarely, in front. */
const label: Maker = (random, at, lines) =>
  `l${random.below(10) === 0 ? random.below(lines) : at + 1 + random.below(Math.max(1, lines - at))}`;

const jump: Maker = (random, at, lines) => {
  const against = random.below(3) === 0 ? number(random) : pick(random, SMALL);
  return `${pick(random, COMPARISONS)}${wide(random)} ${number(random)}, ${against}, ${label(random, at, lines)}`;
};

/** A helper that fills memory: stack or a value, with a size that may be anything. */
const fill: Maker = (random) => {
  const size = random.below(2) === 0 ? `${pick(random, [0, 1, 8, 16, 40, 48, 49])}` : number(random);
  return [
    `mov %r1, %r${pick(random, [6, 9, 10])}`,
    `add %r1, ${pick(random, [0, 0, -8, -16, -48, 8])}`,
    `mov %r2, ${size}`,
    'mov %r3, 0',
    'call 113',
    'mov %r3, 3',
    'mov %r4, 4',
    'mov %r5, 5',
    'mov %r2, 2',
  ].join('\n');
};

/** A function of the program, with a pointer and a number. */
const call: Maker = (random) =>
  [
    `mov %r1, %r${pick(random, [6, 9])}`,
    `mov %r2, ${number(random)}`,
    'call local f',
    'mov %r3, 3',
    'mov %r4, 4',
    'mov %r5, 5',
    'mov %r2, 2',
  ].join('\n');

/** A loop around one load or store, with a counter in R8. */
const loop: Maker = (random, at) =>
  [
    `mov %r8, ${pick(random, [0, 0, 1, -1])}`,
    `loop${at}: mov %r4, %r6`,
    'add %r4, %r8',
    `ldxb %r3, [%r4+${pick(random, [0, 0, 1, 8, 40])}]`,
    `add %r8, ${pick(random, [1, 1, 2, 8])}`,
    `${pick(random, ['jlt', 'jslt', 'jle', 'jne'])} %r8, ${pick(random, [8, 16, 40, 47, 48])}, loop${at}`,
    'mov %r4, 4',
  ].join('\n');

const MAKERS: readonly Maker[] = [
  (random) =>
    `${pick(random, ['add', 'sub', 'and', 'or', 'xor', 'mul'])}${wide(random)} ${number(random)}, ${pick(random, SMALL)}`,
  (random) => `${pick(random, ['add', 'sub', 'and', 'rsh'])}${wide(random)} ${number(random)}, ${1 + random.below(31)}`,
  (random) => `${pick(random, ['lsh', 'rsh', 'arsh'])}${wide(random)} ${number(random)}, ${random.below(32)}`,
  (random) =>
    `${pick(random, ['add', 'sub', 'and', 'or', 'xor', 'div', 'mod', 'sdiv', 'smod', 'lsh', 'rsh', 'arsh'])}${wide(random)} ${number(random)}, ${number(random)}`,
  (random) => `mov${wide(random)} ${number(random)}, ${random.below(2) === 0 ? pick(random, SMALL) : number(random)}`,
  (random) => `ldx${pick(random, LETTERS)} ${number(random)}, [%r7+${8 * random.below(21)}]`,
  (random) =>
    `ldx${pick(random, [...LETTERS, 'sb', 'sh', 'sw'])} ${number(random)}, [%r${pick(random, [6, 9])}${offset(random)}]`,
  (random) => `stx${pick(random, LETTERS)} [%r${pick(random, [6, 9, 10])}${offset(random)}], ${number(random)}`,
  (random) => (random.below(2) === 0 ? `mov %r9, %r${pick(random, [6, 10])}` : `add %r9, ${number(random)}`),
  (random) =>
    random.below(2) === 0 ? `stxdw [%r10-8], %r${pick(random, ANY)}` : `ldxdw %r${pick(random, [3, 4, 9])}, [%r10-8]`,
  (random) => `stx${pick(random, LETTERS)} [%r10-16], ${number(random)}`,
  (random) =>
    `${pick(random, ['movsx864', 'movsx1664', 'movsx3264', 'movsx832', 'movsx1632'])} ${number(random)}, ${number(random)}`,
  (random) => `${pick(random, ['neg', 'neg32', 'be16', 'le32', 'bswap16', 'bswap32'])} ${number(random)}`,
  (random) =>
    `lock ${pick(random, ATOMICS)}${wide(random)} [%r${pick(random, [6, 9, 10])}${pick(random, ['+0', '+8', '+40', '-8', '-16'])}], ${number(random)}`,
  jump,
  jump,
  jump,
];

/** Longer ones, of which a program has a few. */
const LONG_MAKERS: readonly Maker[] = [fill, call, loop];

const START = [
  'mov %r7, %r1',
  'stdw [%r10-24], 0',
  'mov %r2, %r10',
  'add %r2, -24',
  'lddw map_fd %r1, 1',
  'call 1',
  'jne %r0, 0, some',
  'exit',
  'some: mov %r6, %r0',
  'mov %r9, %r6',
  'mov %r0, 1',
  'mov %r2, 0',
  'mov %r3, 3',
  'mov %r4, 4',
  'mov %r5, 5',
  'mov %r8, 8',
];

const body = (random: Prng, name: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => {
    const maker = random.below(12) === 0 ? pick(random, LONG_MAKERS) : pick(random, MAKERS);
    return `l${at}: ${maker(random, at, count)}`.replace(/\bl(\d+)\b/g, `${name}$1`);
  });

/** What `call` calls: R1 a pointer, R2 a number; it looks at both. */
function callee(random: Prng): readonly string[] {
  const size = pick(random, ['b', 'w', 'dw']);
  return [
    'f: mov %r0, 0',
    `${pick(random, COMPARISONS)} %r2, ${pick(random, SMALL)}, fout`,
    ...(random.below(2) === 0 ? [`and %r2, ${pick(random, [7, 15, 31, 47])}`, 'add %r1, %r2'] : []),
    random.below(2) === 0 ? `ldx${size} %r0, [%r1${offset(random)}]` : `stx${size} [%r1${offset(random)}], %r0`,
    'fout: exit',
  ];
}

/** A program in the assembler's syntax: helpers 1 and 113, map 1 of 48 bytes a value, the context of a kprobe. */
export function randomVerifierProgram(random: Prng): string {
  const count = 6 + random.below(22);
  const lines = body(random, 'l', count);
  const calls = lines.some((line) => line.includes('call local f'));
  return [...START, ...lines, `l${count}: mov %r0, 0`, 'exit', ...(calls ? callee(random) : [])].join('\n');
}
