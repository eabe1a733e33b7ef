/**
 * The public bpf_conformance suite: every program that has a result gives it in the interpreter, as machine code on a simulated CPU and as
 * machine code on the real one; every other is refused. The suite's own assembler made the bytecode, so ours is checked against it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { seededPrng } from '../../src/base/index.ts';
import { assembleBpf, jitBpf, prepareRawBpf } from '../../src/jit/index.ts';
import { interpreted, jitedForSimulation, prepared, simulated } from '../jit/support/three-ways.ts';
import { PROGRAMS_AT } from '../support/native/area.ts';
import {
  HAS_NATIVE_CPU,
  NATIVE_CALLX,
  NATIVE_JIT_CPU,
  type NativeCpu,
  nativeHelper,
  startNativeCpu,
} from '../support/native/native-cpu.ts';
import { value } from '../support/results.ts';
import { BPF_VECTORS, type BpfVector } from './bpf-vectors.ts';

const POSITIVE = BPF_VECTORS.filter((vector) => vector.result !== undefined);
const NEGATIVE = BPF_VECTORS.filter((vector) => vector.result === undefined);

const memoryOf = ({ memory }: BpfVector): Uint8Array => new Uint8Array(Buffer.from(memory, 'hex'));
const resultOf = ({ result }: BpfVector): bigint => BigInt(result as string);

/** Names of the vectors for which it does not hold. */
const failing = (vectors: readonly BpfVector[], holds: (vector: BpfVector) => boolean): readonly string[] =>
  vectors.filter((vector) => !holds(vector)).map(({ name }) => name);

describe('bpf_conformance', () => {
  it('has all vectors', () => {
    assert.equal(POSITIVE.length, 313);
    assert.equal(NEGATIVE.length, 45);
  });

  it('assembles as the suite does', () => {
    assert.deepEqual(
      failing(POSITIVE, ({ asm, bytecode }) => Buffer.from(value(assembleBpf(asm))).toString('hex') === bytecode),
      [],
    );
  });

  it('is refused where it has to be, with the instruction', () => {
    const refused = (vector: BpfVector): boolean => {
      const outcome = prepareRawBpf(Buffer.from(vector.bytecode, 'hex'));
      return !outcome.ok && outcome.fault.index === 0 && outcome.fault.rule === 'bpf.insn.reserved';
    };
    assert.deepEqual(failing(NEGATIVE, refused), []);
  });

  it('gives its results in the interpreter', () => {
    const holds = (vector: BpfVector): boolean => {
      const outcome = interpreted(prepared(vector.bytecode), memoryOf(vector));
      return outcome.kind === 'returned' && outcome.value === resultOf(vector);
    };
    assert.deepEqual(failing(POSITIVE, holds), []);
  });

  it('gives its results as machine code on a simulated CPU', () => {
    const holds = (vector: BpfVector): boolean => {
      const outcome = simulated(jitedForSimulation(prepared(vector.bytecode)), memoryOf(vector));
      return outcome.kind === 'returned' && outcome.value === resultOf(vector);
    };
    assert.deepEqual(failing(POSITIVE, holds), []);
  });
});

describe('bpf_conformance on the real CPU', { skip: !HAS_NATIVE_CPU }, () => {
  let cpu: NativeCpu;
  before(async () => {
    cpu = await startNativeCpu();
  });
  after(() => cpu.close());

  for (const [name, blind] of [
    ['as compiled', undefined],
    ['with constants blinded', seededPrng(7)],
  ] as const) {
    it(`gives its results ${name}`, async () => {
      const wrong: string[] = [];
      for (const vector of POSITIVE) {
        const { bytes } = value(
          jitBpf(prepared(vector.bytecode), {
            at: PROGRAMS_AT,
            base: cpu.base,
            cpu: NATIVE_JIT_CPU,
            helper: nativeHelper,
            callx: NATIVE_CALLX,
            ...(blind === undefined ? {} : { blind }),
          }),
        );
        const [result] = await cpu.execute({ code: bytes, runs: [{ entry: PROGRAMS_AT, memory: memoryOf(vector) }] });
        if (result?.value !== resultOf(vector)) wrong.push(vector.name);
      }
      assert.deepEqual(wrong, []);
    });
  }

  it('reports code that dies', async () => {
    const other = await startNativeCpu();
    // ud2
    await assert.rejects(
      other.execute({ code: Uint8Array.of(0x0f, 0x0b), runs: [{ entry: PROGRAMS_AT, memory: new Uint8Array() }] }),
      /SIGILL/,
    );
    await other.close();
  });
});
