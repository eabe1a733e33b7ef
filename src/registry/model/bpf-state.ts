/** BPF in the kernel's state: programs, and the trampolines that call them. */
import type { ProgramMap } from '../maps/state.ts';

export type TrampLinkKind = 'fentry' | 'fmod_ret' | 'fexit';

export interface TrampLink {
  readonly attachment: string;
  readonly kind: TrampLinkKind;
  /** Entry of the program's machine code. */
  readonly entry: number;
  /** Address of struct bpf_prog. */
  readonly prog: bigint;
  /** Identity of the program: attaching the same one twice is EBUSY. */
  readonly program: string;
  readonly cookie: bigint;
  readonly sleepable: boolean;
  /** It asks for the traced function's address (BPF_TRAMP_F_IP_ARG). */
  readonly callsGetFuncIp?: boolean;
  /** Entered at most once at a time on a CPU: tracing programs, not LSM ones. */
  readonly isRecursionChecked: boolean;
}

export type BpfProgramType =
  | 'raw'
  | 'fentry'
  | 'fexit'
  | 'fmod_ret'
  | 'freplace'
  | 'lsm'
  | 'kprobe'
  | 'tracepoint'
  | 'raw_tracepoint'
  | 'tp_btf';

/** What BTF says of one function of a program. */
export interface BpfFunctionInfo {
  readonly name: string;
  /** The context, a whole number, a pointer to anything else. */
  readonly args: readonly ('ctx' | 'int' | 'mem')[];
  /** False for a static function; such can be traced, but nothing can take its place. */
  readonly isGlobal: boolean;
}

/** What a verifier made of a program. */
export interface VerifiedProgram {
  /** Hex: its instructions, with those that only a verifier makes, without those that no path leads to. */
  readonly code: string;
  /** Bytes of stack of each of its functions. */
  readonly stackDepths: readonly number[];
  /** Functions that are left, by their places in the bytecode; undefined: all. */
  readonly kept?: readonly number[];
  /** End of what it reads of its context, in bytes; absent in what was verified before that was known. */
  readonly maxCtxOffset?: number;
}

/** A program as a client loaded it. */
export interface BpfProgram {
  readonly id: string;
  readonly name: string;
  readonly type: BpfProgramType;
  /** The function that it was loaded for. */
  readonly attachTo: string | undefined;
  /** It was loaded as one that may sleep. */
  readonly isSleepable: boolean;
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
  /** Its functions as its BTF has them, the main one first; undefined: it came without BTF. */
  readonly functions: readonly BpfFunctionInfo[] | undefined;
}

/** One function of a BPF program: the main one or a subprogram. A program that takes its place must have its parameters. */
export interface BpfProgFunction extends BpfFunctionInfo {
  /** Its machine code, and the allocation that has it. */
  readonly at: number;
  readonly size: number;
  readonly allocation: number;
}

/** struct bpf_prog, as far as others attach to it: of a program that a client loaded, or of an attachment that brings none. */
export interface BpfProg {
  /** What `prog:ID` says: the attachment that brought it, or the id it was loaded under. */
  readonly id: string;
  readonly type: 'tracing' | 'lsm' | 'ext' | 'other';
  /** expected_attach_type of a tracing program. */
  readonly attachType: TrampLinkKind | undefined;
  readonly hasBtf: boolean;
  /** The main function first. */
  readonly functions: readonly BpfProgFunction[];
  /** attach_tracing_prog: a tracing program that is attached to a tracing program. */
  readonly tracesTracing: boolean;
  readonly isSleepable: boolean;
  /** prog_array_member_cnt: elements of tail-call maps that are this program. */
  readonly arrayMembers: number;
  /** is_extended. */
  readonly isExtended: boolean;
  /** Its attachment, or who loaded it, is there. Without, it lives as long as others are attached to it. */
  readonly isHeld: boolean;
}

/** The freplace program that runs instead of a function of a BPF program. */
export interface BpfExtension {
  readonly attachment: string;
  /** Its own id. */
  readonly program: string;
  readonly entry: number;
}

/** struct bpf_tramp_image. */
export interface BpfImage {
  readonly at: number;
  readonly size: number;
  /** Of an image that calls the original: the NOP behind that call, and where a jump from there skips the programs that follow. */
  readonly teardown: { readonly ipAfterCall: number; readonly ipEpilogue: number } | undefined;
}

export interface BpfTrampoline {
  /** Offset of the traced function's symbol. */
  readonly func: number;
  readonly flags: number;
  readonly layout: 'linux' | 'seed' | 'frame' | 'registers' | 'r11';
  /** Bytes of each parameter. */
  readonly argSizes: readonly number[];
  /** Newest first in each kind. */
  readonly links: Readonly<Record<TrampLinkKind, readonly TrampLink[]>>;
  readonly image: BpfImage | undefined;
  readonly isFtraceManaged: boolean;
  readonly ops: string;
  /** The BPF program whose function it is; undefined for a function of the kernel. */
  readonly program: string | undefined;
  /** extension_prog: then there are no links. */
  readonly extension: BpfExtension | undefined;
}
