/** One program in the interpreter, as machine code on a simulated CPU, and as machine code on the real one. */

import { kernelAddress, type Prng } from '../../../src/base/index.ts';
import {
  type BpfJitCpu,
  type BpfOutcome,
  helperRegistry,
  interpretBpf,
  type JitedBpf,
  jitBpf,
  type PreparedBpf,
  prepareRawBpf,
  RUN_CALLX,
  RUN_CODE,
  regionMemory,
  runHelper,
  runJited,
} from '../../../src/jit/index.ts';
import { IDENTITY_HELPER } from '../../support/native/area.ts';
import { value } from '../../support/results.ts';

const BASE = kernelAddress(0xffff_ffff_8100_0000n);
/** Where the program's memory is when it is simulated. */
export const MEMORY_AT = 0xffff_8880_0001_0000n;
export const MAX_INSTRUCTIONS = 1_000_000;

export const HELPERS = helperRegistry([
  {
    id: IDENTITY_HELPER,
    name: 'identity',
    run: ({ args }) => args[0],
  },
]);

export const SIMULATED_CPU: BpfJitCpu = {
  bmi2: true,
  sls: true,
  ibt: true,
  indirectJump: { kind: 'plain', hasInt3: true },
};

export const prepared = (hex: string): PreparedBpf => value(prepareRawBpf(Buffer.from(hex, 'hex')));

const argsOf = (memory: Uint8Array): readonly [bigint, bigint] => [
  memory.length > 0 ? MEMORY_AT : 0n,
  BigInt(memory.length),
];

/** Changes `memory`. */
export function interpreted(program: PreparedBpf, memory: Uint8Array): BpfOutcome {
  return interpretBpf({
    code: program.source.code,
    args: argsOf(memory),
    memory: regionMemory([{ base: MEMORY_AT, bytes: memory }]),
    helpers: HELPERS,
    maxInstructions: MAX_INSTRUCTIONS,
  });
}

export function jitedForSimulation(program: PreparedBpf, cpu: BpfJitCpu = SIMULATED_CPU, blind?: Prng): JitedBpf {
  const request = { at: RUN_CODE, base: BASE, cpu, helper: runHelper, callx: RUN_CALLX };
  return value(jitBpf(program, { ...request, ...(blind === undefined ? {} : { blind }) }));
}

/** Changes `memory`. */
export function simulated(jited: JitedBpf, memory: Uint8Array): BpfOutcome {
  return runJited({
    jited,
    place: { base: BASE },
    args: argsOf(memory),
    data: [{ base: MEMORY_AT, bytes: memory }],
    helpers: HELPERS,
    maxInstructions: 10 * MAX_INSTRUCTIONS,
  });
}
