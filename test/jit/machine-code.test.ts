/**
 * Machine code byte for byte: small programs that a real 6.12 kernel loaded, verified, compiled and ran, on four CPU configurations and with
 * constants blinded. What our compiler makes of the verified program must be the kernel's bytes, and run to the kernel's result.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kernelAddress, seededPrng, toHex, toOffset } from '../../src/base/index.ts';
import {
  type BpfJitCpu,
  decodeBpf,
  interpretBpf,
  jitBpf,
  layOutBpf,
  type PreparedBpf,
  regionMemory,
} from '../../src/jit/index.ts';
import { JIT_RECORDING, type RecordedMachine, type RecordedProgram } from '../conformance/bpf-vectors.ts';
import { PROGRAMS_AT } from '../support/native/area.ts';
import { HAS_NATIVE_CPU, NATIVE_JIT_CPU, type NativeCpu, startNativeCpu } from '../support/native/native-cpu.ts';
import { value } from '../support/results.ts';
import { HELPERS, jitedForSimulation, MAX_INSTRUCTIONS, MEMORY_AT, simulated } from './support/three-ways.ts';

/** Where `_text` was; the recording kernel ran with nokaslr. */
const BASE = kernelAddress(0xffff_ffff_8100_0000n);
const offset = (address: bigint): number => toOffset(BASE, address) as number;
/** `__bpf_call_base`, from which a verified call counts. */
const CALL_BASE = 0xffff_ffff_8127_c940n;
/** `pcpu_hot + X86_call_depth` lies at 0x35010 of the per-CPU segment, which is linked at 0. */
const CALL_DEPTH = Number(BigInt.asUintN(64, 0x35010n - BASE));
/** How much longer one program may be than the kernel's. */
const LARGER_MAX = 1.05;
const JMP = 0xe9;
const LEAVE = 0xc9;

const verified = (hex: string): PreparedBpf => {
  const code = value(decodeBpf(Buffer.from(hex, 'hex'), { allowsInternal: true }));
  const text = { code, functions: value(layOutBpf(code)) };
  return { source: text, xlated: text, startOf: new Int32Array() };
};

/** The return thunk that a recorded image jumps to behind its first `leave`. */
function returnThunk(bytes: Buffer, at: number): number | undefined {
  const jump = bytes.indexOf(LEAVE) + 1;
  return bytes[jump] === JMP ? at + jump + 5 + bytes.readInt32LE(jump + 1) : undefined;
}

function cpuOf(machine: RecordedMachine, bytes: Buffer, at: number): BpfJitCpu {
  const thunk = returnThunk(bytes, at);
  return {
    ...simulatedCpuOf(machine),
    ...(thunk === undefined ? {} : { returnThunk: thunk }),
    ...(machine.name === 'Skylake-Server' ? { callDepth: CALL_DEPTH } : {}),
  };
}

/** The same machine without what needs the kernel's own code around it: returns through a thunk, call depth. */
const simulatedCpuOf = ({ cpu }: RecordedMachine): BpfJitCpu => ({
  bmi2: cpu.some((line) => / bmi2( |$)/.test(line)),
  sls: true,
  ibt: true,
  indirectJump: { kind: 'plain', hasInt3: true },
});

function compiledFor(machine: RecordedMachine, program: RecordedProgram, index: number): Uint8Array {
  const recorded = machine.jited[index] as RecordedMachine['jited'][number];
  const at = offset(BigInt(recorded.at));
  const isHardened = machine.name === 'max-hardened';
  return value(
    jitBpf(verified(program.xlated), {
      at,
      base: BASE,
      cpu: cpuOf(machine, Buffer.from(recorded.bytes, 'hex'), at),
      helper: (imm) => offset(CALL_BASE + BigInt(imm)),
      ...(isHardened ? { blind: seededPrng(index) } : {}),
    }),
  ).bytes;
}

describe('machine code of a real kernel', () => {
  for (const machine of JIT_RECORDING.variants.filter(({ name }) => name !== 'max-hardened')) {
    it(`is ours, on ${machine.name}`, () => {
      const differing = JIT_RECORDING.programs.filter(
        (program, index) => toHex(compiledFor(machine, program, index)) !== machine.jited[index]?.bytes,
      );
      assert.deepEqual(
        differing.map(({ name }) => name),
        [],
      );
    });
  }

  for (const machine of JIT_RECORDING.variants) {
    it(`is not shorter than ours, on ${machine.name}`, (t) => {
      const sizes = JIT_RECORDING.programs.map((program, index) => ({
        name: program.name,
        ours: compiledFor(machine, program, index).length,
        theirs: (machine.jited[index]?.bytes.length ?? 0) / 2,
      }));
      const ours = sizes.reduce((sum, size) => sum + size.ours, 0);
      const theirs = sizes.reduce((sum, size) => sum + size.theirs, 0);
      const ratio = Math.max(...sizes.map((size) => size.ours / size.theirs));
      t.diagnostic(`${ours} bytes, the kernel's ${theirs}; largest program ${(100 * ratio - 100).toFixed(1)} % over`);
      assert.ok(ours <= theirs, `${ours} bytes, the kernel's have ${theirs}`);
      assert.deepEqual(
        sizes.filter((size) => size.ours > LARGER_MAX * size.theirs),
        [],
      );
    });
  }

  it('has no constant of the program once blinded', () => {
    // r0 = 0x12345678; r0 = 0x12345678_12345678; exit
    const program = verified('b700000078563412180000007856341200000000785634129500000000000000');
    const request = { at: 0, base: BASE, cpu: NATIVE_JIT_CPU, helper: () => undefined };
    const holds = (bytes: Uint8Array): boolean => toHex(bytes).includes('78563412');
    assert.equal(holds(value(jitBpf(program, request)).bytes), true);
    assert.equal(holds(value(jitBpf(program, { ...request, blind: seededPrng(1) })).bytes), false);
  });
});

/** Fields of a `struct sk_buff` that verified programs of these types read, and where the recording kernel has them. */
const SKB = { length: 0x70, data: 0xd0, dataEnd: 0x50, size: 0x100 } as const;

/** An sk_buff and its packet, for memory at `base`. */
function packet(program: RecordedProgram, base: bigint): Uint8Array {
  const data = Buffer.from(program.data, 'hex');
  const memory = Buffer.alloc(SKB.size + data.length);
  memory.writeUInt32LE(data.length, SKB.length);
  memory.writeBigUInt64LE(base + BigInt(SKB.size), SKB.data);
  memory.writeBigUInt64LE(base + BigInt(memory.length), SKB.dataEnd);
  data.copy(memory, SKB.size);
  return new Uint8Array(memory);
}

/** Helpers are not there to be called natively; the one program that calls one ignores the answer. */
const RUNNABLE = JIT_RECORDING.programs.filter(({ name }) => name !== 'helper_ktime');
const recordedResult = (program: RecordedProgram): number =>
  JIT_RECORDING.variants[0]?.jited[JIT_RECORDING.programs.indexOf(program)]?.result ?? Number.NaN;
const low32 = (value: bigint): number => Number(value & 0xffff_ffffn);

describe('results of a real kernel', () => {
  it('were the same on every machine', () => {
    for (const { jited, name } of JIT_RECORDING.variants) {
      assert.deepEqual(
        jited.map(({ result }) => result),
        JIT_RECORDING.variants[0]?.jited.map(({ result }) => result),
        name,
      );
    }
  });

  it('are those of the interpreter', () => {
    const base = 0x10_0000n;
    const differing = RUNNABLE.filter((program) => {
      const outcome = interpretBpf({
        code: verified(program.xlated).source.code,
        args: [base, 0n],
        memory: regionMemory([{ base, bytes: packet(program, base) }]),
        helpers: HELPERS,
        maxInstructions: MAX_INSTRUCTIONS,
      });
      return outcome.kind !== 'returned' || low32(outcome.value) !== recordedResult(program);
    });
    assert.deepEqual(
      differing.map(({ name }) => name),
      [],
    );
  });
});

describe('results of a real kernel, on the simulated CPU', () => {
  for (const machine of JIT_RECORDING.variants) {
    it(`are those of our machine code for ${machine.name}`, () => {
      const cpu = simulatedCpuOf(machine);
      const differing = RUNNABLE.filter((program, index) => {
        const jited = jitedForSimulation(
          verified(program.xlated),
          cpu,
          machine.name === 'max-hardened' ? seededPrng(index) : undefined,
        );
        const outcome = simulated(jited, packet(program, MEMORY_AT));
        return outcome.kind !== 'returned' || low32(outcome.value) !== recordedResult(program);
      });
      assert.deepEqual(
        differing.map(({ name }) => name),
        [],
      );
    });
  }
});

describe('results of a real kernel, on the real CPU', { skip: !HAS_NATIVE_CPU }, () => {
  let cpu: NativeCpu;
  before(async () => {
    cpu = await startNativeCpu();
  });
  after(() => cpu.close());

  it('are those of our machine code', async () => {
    const differing: string[] = [];
    for (const program of RUNNABLE) {
      for (const blind of [undefined, seededPrng(3)]) {
        const { bytes } = value(
          jitBpf(verified(program.xlated), {
            at: PROGRAMS_AT,
            base: cpu.base,
            cpu: NATIVE_JIT_CPU,
            helper: () => undefined,
            ...(blind === undefined ? {} : { blind }),
          }),
        );
        const runs = [{ entry: PROGRAMS_AT, memory: packet(program, cpu.dataBase) }];
        const [result] = await cpu.execute({ code: bytes, runs });
        if (result === undefined || low32(result.value) !== recordedResult(program)) differing.push(program.name);
      }
    }
    assert.deepEqual(differing, []);
  });
});
