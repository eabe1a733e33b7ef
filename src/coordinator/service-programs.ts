/** What the coordinator offers about BPF programs; a part of service.ts. */
import type { Result } from '../base/index.ts';
import type { BpfProgramType, LoadProgramRequest } from '../registry/index.ts';
import type { Caller, Page, PageRequest } from './service.ts';

export { BPF_PROGRAM_TYPES, type BpfProgramType, type LoadProgramRequest } from '../registry/index.ts';

/** A loaded program. */
export interface ProgramView {
  readonly id: string;
  readonly name: string;
  readonly type: BpfProgramType;
  readonly attachTo: string | null;
  readonly client: string;
  readonly since: string;
  readonly insns: number;
  /** Its machine code, for `address`: in the arena, or where a program is run by itself. */
  readonly jited: { readonly bytes: string; readonly size: number; readonly address: string };
  /** Ids of the maps that it uses. */
  readonly maps: readonly string[];
  /** Attachments that run it. */
  readonly attachments: readonly string[];
}

/** `xlated`: BPF after the fix-ups, as `bpftool prog dump xlated`; `jited`: x86. */
export type ProgramListing = 'xlated' | 'jited';

export interface ProgramListingView extends ProgramView {
  readonly view: ProgramListing;
  readonly listing: string;
}

export interface ProgramRunRequest {
  /** Hex. R1 points at it, or is 0 when it is empty; R2 is its length. */
  readonly input?: string;
  readonly via?: 'jit' | 'interpreter';
  readonly maxInstructions?: number;
  readonly maxMs?: number;
}

export interface ProgramRunAnswer {
  /** R0, 64 bits; null when it did not return. */
  readonly returnValue: string | null;
  /** BPF instructions (interpreter) or x86 instructions (jit) executed. */
  readonly instructions: number;
  /** The input's memory afterwards, hex. */
  readonly output: string;
  readonly via: 'jit' | 'interpreter';
  /** What bpf_trace_printk wrote. */
  readonly log: readonly string[];
  /** Why it stopped. */
  readonly fault: { readonly reason: string; readonly instruction: number; readonly address: string | null } | null;
  /** The budget that it used up. */
  readonly exceeded: 'maxInstructions' | 'maxMs' | null;
}

/** An ELF object of clang. */
export interface ObjectRequest {
  /** What the program is for, instead of what its section says: `prog:ID:function` (bpf_program__set_attach_target). */
  readonly attachTo?: string;
  readonly bytes: Uint8Array;
  /** The file's name without its ending: maps of its data have it in their names. */
  readonly name?: string;
  /** A section's name, or a function's; needed when there are several programs and not all are loaded. */
  readonly section?: string;
  /** All its programs: the answer is a list. */
  readonly all?: boolean;
}

export type ObjectAnswer = ProgramView | { readonly items: readonly ProgramView[] };

export interface ProgramCalls {
  loadProgram(caller: Caller, request: LoadProgramRequest): Promise<Result<ProgramView>>;
  /** Makes the object's maps and loads one program of it, or all. */
  loadObject(caller: Caller, request: ObjectRequest): Promise<Result<ObjectAnswer>>;
  unloadProgram(caller: Caller, id: string): Promise<Result<ProgramView>>;
  programs(caller: Caller, page: PageRequest): Result<Page<ProgramView>>;
  program(caller: Caller, id: string): Result<ProgramView>;
  programListing(caller: Caller, id: string, view: ProgramListing): Result<ProgramListingView>;
  /** Like BPF_PROG_TEST_RUN, in a thread of its own. */
  runProgram(caller: Caller, id: string, request: ProgramRunRequest): Promise<Result<ProgramRunAnswer>>;
}
