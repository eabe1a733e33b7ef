/**
 * What the verifier accepts is safe to run. Method: random programs of instructions that go near the edges of stack, context and a map value;
 * those that are accepted are interpreted, as given and as rewritten, on memory that is checked, with random contents, and have to end within
 * what the verifier allows. Every fault is a hole in the verifier. Canary: verifiers that are told a wrong bound are found out.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Prng, seededPrng } from '../../src/base/index.ts';
import {
  type BpfOutcome,
  helperRegistry,
  interpretBpf,
  regionMemory,
  rewriteVerified,
  type VerifyRequest,
  verifyBpf,
} from '../../src/jit/index.ts';
import { requestOf, TEST_MAPS } from './support/verify-assembly.ts';

const FILE = 'test/jit/verifier-sound.test.ts';
const SEED = Number(process.env['PROPERTY_SEED'] ?? 1);
const RUNS = Number(process.env['KTEXTD_RUNS'] ?? 3_000);
const CONTEXTS = 6;
const BUDGET = 200_000;

const CTX_AT = 0xffff_8880_0001_0000n;
const VALUE_AT = 0xffff_8880_0002_0000n;
const MAP_AT = 0xffff_8880_0003_0000n;
const VALUE_SIZE = 48;

const pick = <T>(random: Prng, values: readonly T[]): T => values[random.below(values.length)] as T;
/** R0, R3 to R5 and R8 hold numbers most of the time, R6 a map value, R7 the context, R9 the stack or a value. */
const NUMBERS = [0, 2, 3, 4, 5, 8];
const ANY = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const SMALL = [0, 1, 2, 7, 8, 15, 16, 31, 39, 40, 41, 47, 48, 63, -1, -8, 255, 0x7fff_ffff];
const LETTERS = ['b', 'h', 'w', 'dw'];
const OFFSETS = [0, 0, 4, 8, 16, 24, 32, 40, 44, 47];

function offset(random: Prng): string {
  const off = random.below(4) === 0 ? -8 * (1 + random.below(4)) : pick(random, OFFSETS);
  return off < 0 ? `${off}` : `+${off}`;
}

const number = (random: Prng): string => `%r${pick(random, NUMBERS)}`;

/** One line; jumps go to labels that stand behind or, rarely, in front. */
function line(random: Prng, at: number, lines: number): string {
  const label = (): string =>
    `l${random.below(10) === 0 ? random.below(lines) : at + 1 + random.below(Math.max(1, lines - at))}`;
  const wide = random.below(3) === 0 ? '32' : '';
  switch (random.below(13)) {
    case 0:
    case 1:
      return `${pick(random, ['add', 'sub', 'and', 'or', 'xor', 'mul'])}${wide} ${number(random)}, ${pick(random, SMALL)}`;
    case 2:
      return `${pick(random, ['lsh', 'rsh', 'arsh'])}${wide} ${number(random)}, ${random.below(32)}`;
    case 3:
      return `${pick(random, ['add', 'sub', 'and', 'or', 'xor', 'div', 'mod'])}${wide} ${number(random)}, ${number(random)}`;
    case 4:
      return `mov${wide} ${number(random)}, ${random.below(2) === 0 ? pick(random, SMALL) : number(random)}`;
    case 5:
      return `ldx${pick(random, LETTERS)} ${number(random)}, [%r7+${8 * random.below(21)}]`;
    case 6:
      return `ldx${pick(random, LETTERS)} ${number(random)}, [%r${pick(random, [6, 9])}${offset(random)}]`;
    case 7:
      return `stx${pick(random, LETTERS)} [%r${pick(random, [6, 9, 10])}${offset(random)}], ${number(random)}`;
    case 8:
      return random.below(2) === 0 ? `mov %r9, %r${pick(random, [6, 10])}` : `add %r9, ${number(random)}`;
    case 9:
      return random.below(2) === 0
        ? `stxdw [%r10-8], %r${pick(random, ANY)}`
        : `ldxdw %r${pick(random, [3, 4, 9])}, [%r10-8]`;
    case 10:
      return `stx${pick(random, LETTERS)} [%r10-16], ${number(random)}`;
    default: {
      const op = pick(random, ['jeq', 'jne', 'jgt', 'jge', 'jlt', 'jle', 'jsgt', 'jsge', 'jslt', 'jsle', 'jset']);
      return `${op}${wide} ${number(random)}, ${random.below(3) === 0 ? number(random) : pick(random, SMALL)}, ${label()}`;
    }
  }
}

function randomProgram(random: Prng): string {
  const count = 6 + random.below(22);
  const body = Array.from({ length: count }, (_, at) => `l${at}: ${line(random, at, count)}`);
  const start = [
    'mov %r7, %r1',
    'stdw [%r10-24], 0',
    'mov %r2, %r10',
    'add %r2, -24',
    'lddw map_fd %r1, 1',
    'call 1',
    'jne %r0, 0, some',
    'exit',
  ];
  const some = [
    'some: mov %r6, %r0',
    'mov %r9, %r6',
    'mov %r0, 1',
    'mov %r2, 0',
    'mov %r3, 3',
    'mov %r4, 4',
    'mov %r5, 5',
    'mov %r8, 8',
  ];
  return [...start, ...some, ...body, `l${count}: mov %r0, 0`, 'exit'].join('\n');
}

/** Maps become numbers, which only the helper looks at. */
function resolved(request: VerifyRequest): VerifyRequest['code'] {
  const code = {
    ...request.code,
    src: request.code.src.slice(),
    imm: request.code.imm.slice(),
    insn: request.code.insn.slice(),
  };
  const numberInsn = requestOf('lddw %r0, 0\nexit').code.insn[0] as number;
  for (let slot = 0; slot < code.length; slot++) {
    if (code.code[slot] !== 0x18) continue;
    code.insn[slot] = numberInsn;
    code.src[slot] = 0;
    code.imm[slot] = Number(BigInt.asIntN(32, MAP_AT));
    code.imm[slot + 1] = Number(BigInt.asIntN(32, MAP_AT >> 32n));
  }
  return code;
}

const LOOKUP = helperRegistry([{ id: 1, name: 'map_lookup_elem', run: () => VALUE_AT }]);

function randomBytes(random: Prng, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, () => random.below(256));
  // Small numbers and extremes pass comparisons that random ones do not.
  for (let at = 0; at + 8 <= length; at += 8) {
    const kind = random.below(4);
    if (kind === 0) bytes.fill(0, at, at + 8);
    if (kind === 1) bytes.fill(0, at + 1, at + 8);
    if (kind === 2) bytes.fill(0xff, at, at + 8);
  }
  return bytes;
}

function interpret(code: VerifyRequest['code'], random: Prng): BpfOutcome {
  const memory = regionMemory([
    { base: CTX_AT, bytes: randomBytes(random, 168), isReadOnly: true },
    { base: VALUE_AT, bytes: randomBytes(random, VALUE_SIZE) },
  ]);
  return interpretBpf({ code, args: [CTX_AT, 0n], memory, helpers: LOOKUP, maxInstructions: BUDGET });
}

interface Found {
  readonly accepted: number;
  readonly problem: string | undefined;
}

/** Runs what is accepted; the first problem ends it. */
function hunt(runs: number, first: number, believed: Partial<VerifyRequest> = {}): Found {
  let accepted = 0;
  for (let run = 0; run < runs; run++) {
    const random = seededPrng(first + run);
    const source = randomProgram(random);
    const request = { ...requestOf(source, { logLevel: 0, maxInstructions: 20_000 }), ...believed };
    const verified = verifyBpf(request);
    if (!verified.ok) continue;
    accepted += 1;
    const given = resolved(request);
    const rewritten = rewriteVerified(given, request.functions, verified.value).code;
    for (let context = 0; context < CONTEXTS; context++) {
      const seed = random.u32();
      const [before, after] = [interpret(given, seededPrng(seed)), interpret(rewritten, seededPrng(seed))];
      const isFine = before.kind === 'returned' && after.kind === 'returned' && before.value === after.value;
      if (isFine) continue;
      const replay = `replay: PROPERTY_SEED=${first + run} KTEXTD_RUNS=1 npx tsx scripts/test.ts ${FILE}`;
      const shown = JSON.stringify([before, after], (_, value) => (typeof value === 'bigint' ? `${value}` : value));
      return { accepted, problem: `${replay}\n${shown}\n${source}` };
    }
  }
  return { accepted, problem: undefined };
}

describe('what the verifier accepts', () => {
  it('never leaves its memory and always ends, as given and as rewritten', () => {
    const { accepted, problem } = hunt(RUNS, SEED);
    assert.equal(problem, undefined, problem);
    if (RUNS >= 3_000) assert.ok(accepted > RUNS / 50, `${accepted} of ${RUNS} were accepted`);
  });

  it('canary: a verifier that takes a value for a byte larger than it is, is found out', () => {
    const larger = { ...TEST_MAPS[1], valueSize: VALUE_SIZE + 1 } as (typeof TEST_MAPS)[number];
    const { problem } = hunt(Math.max(RUNS, 3_000), SEED, { map: () => larger });
    assert.match(problem ?? '', /replay: PROPERTY_SEED=\d+/);
  });
});
