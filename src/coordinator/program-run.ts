/** One run of a program, as the thread does it: plain data in, plain data out. */
import { fromHex, invariant, type KernelAddress, toHex } from '../base/index.ts';
import {
  type BpfJitCpu,
  type BpfOutcome,
  type BpfText,
  helperRegistry,
  interpretBpf,
  jitBpf,
  prepareRawBpf,
  RUN_CALLX,
  RUN_CODE,
  regionMemory,
  runHelper,
  runJited,
} from '../jit/index.ts';
import type { ProgramRunAnswer } from './service-programs.ts';

export interface ProgramRun {
  /** Hex. */
  readonly bytecode: string;
  readonly input: string;
  readonly via: 'jit' | 'interpreter';
  readonly maxInstructions: number;
  /** Address of `_text` and what the boot asks of code. */
  readonly base: KernelAddress;
  readonly cpu: BpfJitCpu;
}

/** Where the input is: an address of the direct map. */
const INPUT_AT = 0xffff_8880_0001_0000n;

/**
 * Helpers of programs that are run by themselves: number 5 of the bpf_conformance suite (`unwind` of ubpf, which there ends the program when it
 * answers 0; here it answers its argument).
 */
const HELPERS = helperRegistry([{ id: 5, name: 'unwind', run: ({ args }) => args[0] }]);

function outcomeOf(run: ProgramRun, memory: Uint8Array): { readonly outcome: BpfOutcome; readonly text: BpfText } {
  const prepared = prepareRawBpf(fromHex(run.bytecode) ?? new Uint8Array());
  invariant(prepared.ok, 'only loaded programs are run');
  const args = [memory.length === 0 ? 0n : INPUT_AT, BigInt(memory.length)] as const;
  const common = { args, helpers: HELPERS, maxInstructions: run.maxInstructions };
  if (run.via === 'interpreter') {
    const { source } = prepared.value;
    const regions = regionMemory([{ base: INPUT_AT, bytes: memory }]);
    return { outcome: interpretBpf({ ...common, code: source.code, memory: regions }), text: source };
  }
  const { base, cpu } = run;
  // Alone in its address space, it has no thunk to return through and no per-CPU area to account in.
  const { returnThunk: _, callDepth: __, ...plain } = cpu;
  const request = { at: RUN_CODE, base, cpu: plain, helper: runHelper, callx: RUN_CALLX };
  const jited = jitBpf(prepared.value, request);
  invariant(jited.ok, 'only programs that can be compiled are loaded');
  const data = memory.length === 0 ? [] : [{ base: INPUT_AT, bytes: memory }];
  return { outcome: runJited({ ...common, jited: jited.value, place: { base }, data }), text: jited.value.text };
}

export function runProgramHere(run: ProgramRun): ProgramRunAnswer {
  const memory = fromHex(run.input) ?? new Uint8Array();
  const { outcome } = outcomeOf(run, memory);
  const common = { instructions: outcome.instructions, output: toHex(memory), via: run.via };
  switch (outcome.kind) {
    case 'returned':
      return { ...common, returnValue: `0x${outcome.value.toString(16)}`, fault: null, exceeded: null };
    case 'budget':
      return { ...common, returnValue: null, fault: null, exceeded: 'maxInstructions' };
    case 'fault': {
      const address = outcome.address === undefined ? null : `0x${outcome.address.toString(16)}`;
      const fault = { reason: outcome.reason, instruction: outcome.slot, address };
      return { ...common, returnValue: null, fault, exceeded: null };
    }
  }
}
