import type { BtfTypes } from '../../image/index.ts';
import type { BpfCode, BpfFunction } from '../bpf/index.ts';
import type { HelperProgramType, HelperPrototype } from '../helpers/index.ts';
import type { MapSpec } from '../maps/index.ts';

export type VerifierMap = Pick<
  MapSpec,
  'name' | 'type' | 'keySize' | 'valueSize' | 'maxEntries' | 'flags' | 'initial' | 'isFrozen' | 'spinLock' | 'btf'
>;

/** What a VAR or FUNC of the kernel's BTF is besides its type. */
export interface KernelName {
  /** Undefined: kallsyms has no such name. */
  readonly address: bigint | undefined;
  /** Each CPU has one. */
  readonly isPerCpu: boolean;
}

/** Types of programs that are verified. */
export type VerifiedType = HelperProgramType | 'freplace';

/** The function that a program is for. */
export interface VerifyTarget {
  readonly name: string;
  /** Its FUNC in the kernel's BTF; undefined for a function of a module, whose types are not here. */
  readonly btfId?: number;
  /** Words that its arguments take. */
  readonly words: number;
  /** Programs that sleep may be attached to it. */
  readonly maySleep?: boolean;
}

/** What a function of a program takes in one of R1 to R5, by its types (struct bpf_subprog_arg_info). */
export type FunctionArg =
  | { readonly kind: 'ctx' }
  | { readonly kind: 'scalar' }
  /** Memory of that many bytes. */
  | { readonly kind: 'mem'; readonly size: number; readonly mayBeNull: boolean }
  /** A struct of the kernel. */
  | { readonly kind: 'trusted'; readonly struct: string; readonly mayBeNull: boolean };

/** What BTF says of a function of a program. */
export interface FunctionTypes {
  readonly name: string;
  readonly isGlobal: boolean;
  readonly args: readonly FunctionArg[];
  /** Why the verifier cannot take it by its types. */
  readonly problem?: { readonly errno: 'EINVAL' | 'EOPNOTSUPP'; readonly text: string };
}

export interface VerifyRequest {
  /** As decoded; maps named by MAP_FD, MAP_VALUE, MAP_IDX and MAP_IDX_VALUE. */
  readonly code: BpfCode;
  readonly functions: readonly BpfFunction[];
  readonly type: VerifiedType;
  /** Needed by the types whose context BTF describes. */
  readonly target?: VerifyTarget;
  readonly btf?: BtfTypes;
  /** By function, in the order of `functions`: an extension is taken by them, and so are global functions. */
  readonly functionTypes?: readonly FunctionTypes[];
  /** The map that a 64-bit immediate with that source and low half names. */
  readonly map: (source: number, number: number) => VerifierMap | undefined;
  /** The variable or function of the kernel with that type; undefined where BTF has nothing under the number. */
  readonly kernelName?: (btfId: number) => KernelName | undefined;
  readonly helper: (id: number) => HelperPrototype | undefined;
  /** Name of a helper that is not there, with `bpf_`. */
  readonly helperName?: (id: number) => string | undefined;
  /** The program may sleep (BPF_F_SLEEPABLE). */
  readonly isSleepable?: boolean;
  /** Whether the program's licence is compatible with the GPL; by default it is. */
  readonly isGpl?: boolean;
  /** 1: the log of the path that fails; 2: of all paths, with what was found out on the way. */
  readonly logLevel: 0 | 1 | 2;
  readonly cpus?: number;
  /** Checkpoints at every place where states may be compared (BPF_F_TEST_STATE_FREQ). */
  readonly checkpointsEverywhere?: boolean;
  /** An instruction as the listing has it, for the log. */
  readonly describe?: (slot: number) => string;
  /** Instructions that may be looked at in all; by default BPF_COMPLEXITY_LIMIT_INSNS. */
  readonly maxInstructions?: number;
}
