import type { ProgramMap } from '../maps/state.ts';
import type { BpfProgramType } from './state.ts';

/** What a verifier made of a program. */
export interface VerifiedProgram {
  /** Hex: its instructions, with those that only a verifier makes, without those that no path leads to. */
  readonly code: string;
  /** Bytes of stack of each of its functions. */
  readonly stackDepths: readonly number[];
}

/** A loaded program, struct bpf_prog. */
export interface BpfProgram {
  readonly id: string;
  readonly name: string;
  readonly type: BpfProgramType;
  /** The function that it was loaded for. */
  readonly attachTo: string | undefined;
  readonly client: string;
  readonly tenant: string;
  readonly sinceMs: number;
  /** Hex, 8 bytes an instruction: all that it is; instructions and machine code follow from it. */
  readonly bytecode: string;
  /** Undefined for a program that runs by itself, which no verifier looks at. */
  readonly verified: VerifiedProgram | undefined;
  readonly insns: number;
  /** Maps that it was loaded with, in the order in which its instructions count them. */
  readonly maps: readonly ProgramMap[];
  /** Address of struct bpf_prog. */
  readonly prog: bigint;
  /** Its machine code in the arena; undefined for a program that does not run in the kernel. */
  readonly image: { readonly at: number; readonly size: number } | undefined;
}
