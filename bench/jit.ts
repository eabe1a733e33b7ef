/**
 * How fast programs are compiled, how fast they run beside `gcc -O2`, and what each kind of trampoline costs on the real CPU.
 *
 *   npm run bench -- jit
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kernelAddress, seededPrng, systemClock } from '../src/base/index.ts';
import { assembleBpf, jitBpf, prepareRawBpf } from '../src/jit/index.ts';
import { prologue, randomItem } from '../test/jit/fuzz/program-items.ts';
import { bytecodeOf } from '../test/jit/fuzz/random-program.ts';
import { NATIVE_JIT_CPU } from '../test/support/native/native-cpu.ts';
import { NativeProcess, nativeUnavailable } from '../test/support/native-process/native-process.ts';
import { type Algorithm, SIEVE, XORSHIFT } from './support/algorithms.ts';
import { LOOP_CODE_SIZE, loopAddress, type Traced, tracedLoop } from './support/traced-loop.ts';

const BASE = kernelAddress(0x5000_0000n);
const DATA = 0x5100_0000n;
const DATA_SIZE = 0x10_0000;
const WARM_UP = 40;
const ROUNDS = 60;
const NATIVE_ROUNDS = 25;
const LOOPS = 1_000_000n;
const line = (text: string): void => void process.stdout.write(`${text}\n`);

function randomBytecode(seed: number, count: number): Uint8Array {
  const prng = seededPrng(seed);
  const start = prologue(prng, true);
  const items = Array.from({ length: count }, (_, index) =>
    randomItem(prng, { index, count, callees: [], tailCalls: undefined }),
  );
  return bytecodeOf([{ prologue: start, items }]);
}

function compile(bytecode: Uint8Array): Uint8Array {
  const prepared = prepareRawBpf(bytecode);
  if (!prepared.ok) throw new Error(prepared.fault.detail);
  const jited = jitBpf(prepared.value, { at: 0, base: BASE, cpu: NATIVE_JIT_CPU, helper: () => 0 });
  if (!jited.ok) throw new Error(jited.fault.detail);
  return jited.value.bytes;
}

/**
 * Microseconds for all, each program at its fastest, so that what else the machine does counts for nothing; from bytecode to machine code:
 * decoded, laid out, fixed up, compiled.
 */
function fastestUs(programs: readonly Uint8Array[]): number {
  const fastest = programs.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < WARM_UP + ROUNDS; round++)
    for (const [index, program] of programs.entries()) {
      const start = systemClock.monotonicUs();
      compile(program);
      const took = systemClock.monotonicUs() - start;
      if (round >= WARM_UP) fastest[index] = Math.min(fastest[index] as number, took);
    }
  return fastest.reduce((sum, us) => sum + us, 0);
}

function compileSpeed(): void {
  const large = Array.from({ length: 8 }, (_, seed) => randomBytecode(seed, 4_000));
  const small = Array.from({ length: 100 }, (_, seed) => randomBytecode(seed, 60)).filter(
    ({ length }) => length / 8 < 200,
  );
  const insns = large.reduce((sum, { length }) => sum + length / 8, 0);
  line(
    `compiling programs of ${Math.round(insns / large.length)} instructions: ${(insns / fastestUs(large)).toFixed(1)} million instructions a second`,
  );
  line(`compiling programs of under 200 instructions: ${(fastestUs(small) / small.length).toFixed(0)} µs each`);
}

/** The function that gcc makes of it, or undefined where there is no gcc. */
async function builtByGcc(native: NativeProcess, algorithm: Algorithm, folder: string): Promise<bigint | undefined> {
  const [source, library] = [join(folder, `${algorithm.name}.c`), join(folder, `${algorithm.name}.so`)];
  writeFileSync(source, algorithm.c);
  try {
    execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, source], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const [address] = await native.run([{ op: 'symbol', library, name: algorithm.name }]);
  return address as bigint;
}

async function timed(native: NativeProcess, address: bigint, args: readonly bigint[], rounds: number): Promise<number> {
  const [ns] = await native.run([{ op: 'time', address, args, rounds }], 300_000);
  return Number(ns);
}

async function put(native: NativeProcess, code: Uint8Array): Promise<void> {
  await native.run([
    { op: 'protect', address: BASE, length: LOOP_CODE_SIZE, permissions: 'rw-' },
    { op: 'write', address: BASE, bytes: code },
    { op: 'protect', address: BASE, length: LOOP_CODE_SIZE, permissions: 'r-x' },
  ]);
}

async function runSpeed(native: NativeProcess): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ktextd-bench-'));
  try {
    for (const algorithm of [SIEVE, XORSHIFT]) {
      const bytecode = assembleBpf(algorithm.bpf);
      if (!bytecode.ok) throw new Error(bytecode.fault.detail);
      await put(native, compile(bytecode.value));
      const args = [DATA, algorithm.amount];
      const [ours] = await native.run([{ op: 'call', address: BASE, args }]);
      const theirs = await builtByGcc(native, algorithm, folder);
      if (theirs === undefined) {
        line(
          `${algorithm.name}: ${(await timed(native, BASE, args, NATIVE_ROUNDS)) / 1_000} µs; gcc is not here, so there is nothing to compare it with`,
        );
        continue;
      }
      const [expected] = await native.run([{ op: 'call', address: theirs, args }]);
      if (ours !== expected) throw new Error(`${algorithm.name}: ${ours}, gcc's answers ${expected}`);
      let [bpf, gcc] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
      // In turn, so that what else the machine does meets both.
      for (let round = 0; round < NATIVE_ROUNDS; round++) {
        bpf = Math.min(bpf, await timed(native, BASE, args, 2));
        gcc = Math.min(gcc, await timed(native, theirs, args, 2));
      }
      line(`${algorithm.name}: ${(bpf / 1e6).toFixed(2)} ms, ${(bpf / gcc).toFixed(2)} times gcc -O2`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const TRACED: readonly Traced[] = ['none', 'full save', 'linux-6.12', 'seed', 'frame', 'registers', 'r11'];

async function trampolines(native: NativeProcess): Promise<void> {
  const fastest = new Map<Traced, number>();
  for (let round = 0; round < NATIVE_ROUNDS; round++)
    for (const traced of TRACED) {
      await put(native, tracedLoop(traced, BASE, DATA));
      const ns = await timed(native, loopAddress(BASE), [LOOPS], 2);
      fastest.set(traced, Math.min(fastest.get(traced) ?? Number.POSITIVE_INFINITY, ns));
    }
  const none = fastest.get('none') ?? Number.NaN;
  const cost = (traced: Traced): number => (fastest.get(traced) ?? Number.NaN) - none;
  line('what a trampoline adds to a call, with a program that reads two arguments; 1.00 is a full register save');
  for (const traced of TRACED.slice(1))
    line(
      `${traced.padEnd(12)} ${(cost(traced) / cost('full save')).toFixed(2)}  ${(cost(traced) / Number(LOOPS)).toFixed(2)} ns`,
    );
}

compileSpeed();
const reason = nativeUnavailable();
if (reason !== undefined) line(`not run: ${reason}`);
else {
  const native = new NativeProcess();
  try {
    await native.run([
      { op: 'map', address: BASE, length: LOOP_CODE_SIZE },
      { op: 'map', address: DATA, length: DATA_SIZE },
    ]);
    await runSpeed(native);
    await trampolines(native);
  } finally {
    native.close();
  }
}
