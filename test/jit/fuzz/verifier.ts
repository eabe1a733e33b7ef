/**
 * Fuzzing of the verifier. Method: random programs of instructions that go near the edges of stack, context and a map value; those that are
 * accepted are interpreted, as given and as rewritten, on memory that is checked, with random contents, and have to end within what the
 * verifier allows. Every fault is a hole in the verifier.
 */
import { type Prng, seededPrng } from '../../../src/base/index.ts';
import {
  type BpfHelper,
  type BpfOutcome,
  helperRegistry,
  interpretBpf,
  regionMemory,
  rewriteVerified,
  type VerifyRequest,
  verifyBpf,
} from '../../../src/jit/index.ts';
import { requestOf } from '../support/verify-assembly.ts';
import { randomVerifierProgram } from './verifier-program.ts';

const CONTEXTS = 6;
const BUDGET = 200_000;
/** Programs that go on for longer are not waited for. */
const LIMIT = 20_000;

const CTX_AT = 0xffff_8880_0001_0000n;
const CTX_SIZE = 168;
const VALUE_AT = 0xffff_8880_0002_0000n;
const MAP_AT = 0xffff_8880_0003_0000n;
export const VALUE_SIZE = 48;

/** Maps become numbers, which only the helper looks at. */
function resolved(request: VerifyRequest): VerifyRequest['code'] {
  const { code: given } = request;
  const code = { ...given, src: given.src.slice(), imm: given.imm.slice(), insn: given.insn.slice() };
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

class OutOfMemory extends Error {}

/** bpf_probe_read_kernel with nothing to read: clears what it was given, as far as that says (and every byte of it has to be there). */
const CLEAR: BpfHelper = {
  id: 113,
  name: 'probe_read_kernel',
  run: ({ args, memory }) => {
    for (let at = 0n; at < BigInt.asUintN(32, args[1]); at++)
      if (!memory.store(args[0] + at, 1, 0n)) throw new OutOfMemory(`the helper writes byte ${at} of ${args[1]}`);
    return BigInt.asUintN(64, -14n);
  },
};

const HELPERS = helperRegistry([{ id: 1, name: 'map_lookup_elem', run: () => VALUE_AT }, CLEAR]);

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

function interpret(
  code: VerifyRequest['code'],
  random: Prng,
): BpfOutcome | { readonly kind: 'helper'; readonly text: string } {
  const memory = regionMemory([
    { base: CTX_AT, bytes: randomBytes(random, CTX_SIZE), isReadOnly: true },
    { base: VALUE_AT, bytes: randomBytes(random, VALUE_SIZE) },
  ]);
  try {
    return interpretBpf({ code, args: [CTX_AT, 0n], memory, helpers: HELPERS, maxInstructions: BUDGET });
  } catch (error) {
    if (!(error instanceof OutOfMemory)) throw error;
    return { kind: 'helper', text: error.message };
  }
}

export interface Hunt {
  readonly accepted: number;
  /** The first program that was accepted and is not safe. */
  readonly found?: { readonly seed: number; readonly text: string };
}

export interface HuntOptions {
  readonly seed: number;
  /** Programs; the n-th is that of seed + n. */
  readonly runs: number;
  /** What a verifier with a bug takes the program for. */
  readonly mistaken?: (request: VerifyRequest) => VerifyRequest;
  readonly onProgress?: (done: number, accepted: number) => void;
}

/** Runs what is accepted; the first problem ends it. */
export function huntVerifier({ seed, runs, mistaken, onProgress }: HuntOptions): Hunt {
  let accepted = 0;
  for (let run = 0; run < runs; run++) {
    const random = seededPrng(seed + run);
    const source = randomVerifierProgram(random);
    const request = requestOf(source, { logLevel: 0, maxInstructions: LIMIT });
    const verified = verifyBpf(mistaken === undefined ? request : mistaken(request));
    onProgress?.(run + 1, accepted);
    if (!verified.ok) continue;
    accepted += 1;
    const given = resolved(request);
    const rewritten = rewriteVerified(given, request.functions, verified.value).code;
    for (let context = 0; context < CONTEXTS; context++) {
      const contents = random.u32();
      const [before, after] = [interpret(given, seededPrng(contents)), interpret(rewritten, seededPrng(contents))];
      if (before.kind === 'returned' && after.kind === 'returned' && before.value === after.value) continue;
      const shown = JSON.stringify([before, after], (_, value) => (typeof value === 'bigint' ? `${value}` : value));
      return { accepted, found: { seed: seed + run, text: `${shown}\n${source}` } };
    }
  }
  return { accepted };
}

export const replayOf = ({ seed }: { readonly seed: number }): string => `replay: npm run fuzz -- verifier ${seed} 1`;

const PROGRESS_EVERY = 10_000;

/** `npm run fuzz -- verifier [SEED] [PROGRAMS]`. */
export async function fuzzVerifier({ seed, runs }: { readonly seed: number; readonly runs: number }): Promise<void> {
  const { accepted, found } = huntVerifier({
    seed,
    runs,
    onProgress: (done, soFar) => {
      if (done % PROGRESS_EVERY === 0) process.stdout.write(`${done} programs, ${soFar} accepted\n`);
    },
  });
  process.stdout.write(`${accepted} of ${runs} programs were accepted\n`);
  if (found !== undefined) throw new Error(`what the verifier accepts is not safe\n${found.text}\n${replayOf(found)}`);
}
