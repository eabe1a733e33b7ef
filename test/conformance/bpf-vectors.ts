/** The public bpf_conformance suite's vectors, assembled by its own assembler, and what a real kernel's JIT made of small programs. */
import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';

export interface BpfVector {
  readonly name: string;
  readonly asm: string;
  readonly bytecode: string;
  /** R1 points at it, or is 0 when it is empty; R2 is its length. */
  readonly memory: string;
  /** All 64 bits of R0; absent when the program is to be refused. */
  readonly result?: string;
  readonly refused?: string;
  readonly version: string;
}

/** A program that a 6.12 kernel loaded and ran with BPF_PROG_TEST_RUN. */
export interface RecordedProgram {
  readonly name: string;
  readonly type: 'sched_cls' | 'socket_filter';
  /** As it was loaded, and after the verifier. */
  readonly insns: string;
  readonly xlated: string;
  /** The packet. */
  readonly data: string;
}

/** One machine: the code of each program, in the order of the programs. */
export interface RecordedMachine {
  readonly name: string;
  readonly kernel: string;
  readonly cpu: readonly string[];
  readonly jited: readonly { readonly bytes: string; readonly at: string; readonly result: number }[];
}

const read = (file: string): unknown =>
  JSON.parse(brotliDecompressSync(readFileSync(new URL(file, import.meta.url))).toString('utf8'));

export const BPF_VECTORS = (read('bpf-conformance.json.br') as { readonly tests: readonly BpfVector[] }).tests;

export const JIT_RECORDING = read('jit-6.12.json.br') as {
  readonly programs: readonly RecordedProgram[];
  readonly variants: readonly RecordedMachine[];
};
