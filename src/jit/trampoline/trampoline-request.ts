import type { KernelAddress } from '../../base/index.ts';
import type { GeneratedCodeCpu } from '../x86/generated-code.ts';

/**
 * Whose trampoline it is. `linux-6.12` and `linux-6.1` are what those kernels generate, byte for byte; `seed` is the ten instructions of
 * the mail that started it all (22 October 2019), generalised to n arguments.
 */
export type TrampolineLayout = 'linux-6.12' | 'linux-6.1' | 'seed' | DirectLayout;

/** What the mail's thread proposed instead of a pointer to the arguments; each needs programs compiled for the function. */
export type DirectLayout = 'frame' | 'registers' | 'r11';

/** Argument words that a trampoline of each layout of ours carries at most; `seed` only such as come in registers. */
export const ARGUMENT_WORDS = { seed: 6, frame: 12, registers: 5, r11: 12 } as const;

export const isDirectLayout = (layout: string): layout is DirectLayout =>
  layout === 'frame' || layout === 'registers' || layout === 'r11';

export type TrampolineProgramKind = 'fentry' | 'fmod_ret' | 'fexit';

/** One attached program. */
export interface TrampolineProgram {
  readonly kind: TrampolineProgramKind;
  /** Where its machine code begins (`bpf_func`), counted from `_text`. */
  readonly entry: number;
  /** Address of its `struct bpf_prog`, an argument of enter and exit. */
  readonly prog: bigint;
  readonly cookie: bigint;
  readonly sleepable: boolean;
  /** True for tracing programs (the per-CPU `active` counter); false for LSM (bpf_prog_check_recur). */
  readonly recursionChecked: boolean;
}

/** BPF_TRAMP_F_* (include/linux/bpf.h, 6.12). {@link trampolineFlags} derives them as bpf_trampoline_update does. */
export interface TrampolineFlags {
  readonly restoreRegs: boolean;
  readonly callOrig: boolean;
  readonly skipFrame: boolean;
  readonly ipArg: boolean;
  readonly origStack: boolean;
  readonly tailCallCtx: boolean;
}

export interface BpfTrampolineRequest {
  readonly layout: TrampolineLayout;
  /** Where the image will live, counted from `_text`. */
  readonly at: number;
  /** Address of `_text`. */
  readonly base: KernelAddress;
  /** The traced function: its first byte counted from `_text`, and whether an `endbr64` (sealed or not) stands there. */
  readonly function: { readonly entry: number; readonly startsWithEndbr: boolean };
  /** Size in bytes of each parameter (`btf_func_model.arg_size`), 1 to 16. */
  readonly argSizes: readonly number[];
  /** In the order in which they run within their kind: newest attached first. */
  readonly programs: readonly TrampolineProgram[];
  readonly flags: TrampolineFlags;
  /** Address of the image's `struct bpf_tramp_image`, an argument of __bpf_tramp_enter and __bpf_tramp_exit. */
  readonly image: bigint;
  /** Kernel functions that the image calls, counted from `_text`; {@link trampolineSymbols} says which. */
  readonly symbols: Readonly<Record<string, number>>;
  readonly cpu: GeneratedCodeCpu;
}

export interface GeneratedTrampoline {
  readonly bytes: Uint8Array;
  /** What the kernel allocates for it: the rest stays 0xcc. */
  readonly allocatedSize: number;
  /** The NOP5 behind the call of the original, from the first byte; becomes a jump to the epilogue at teardown. */
  readonly ipAfterCall?: number;
  readonly ipEpilogue?: number;
  /** Distance of the programs' context (argument words) below %rbp. */
  readonly contextBelowRbp: number;
  /** Argument words the context holds. */
  readonly argWords: number;
}

/** bpf_trampoline_update (kernel/bpf/trampoline.c, 6.12): the flags that the attached programs and the site's other owners ask for. */
export function trampolineFlags(wanted: {
  readonly programs: readonly Pick<TrampolineProgram, 'kind'>[];
  readonly callsGetFuncIp: boolean;
  readonly sharesIpmodify: boolean;
  readonly tailCallCtx: boolean;
}): TrampolineFlags {
  const callOrig = wanted.programs.some((program) => program.kind !== 'fentry');
  return {
    restoreRegs: !callOrig,
    callOrig,
    skipFrame: callOrig,
    ipArg: wanted.callsGetFuncIp,
    origStack: wanted.sharesIpmodify && callOrig,
    tailCallCtx: wanted.tailCallCtx,
  };
}

/** Names of the enter and exit functions of a program (bpf_trampoline_enter, bpf_trampoline_exit; 6.1 and 6.12). */
export function programSymbols(program: Pick<TrampolineProgram, 'sleepable' | 'recursionChecked'>): {
  readonly enter: string;
  readonly exit: string;
} {
  const flavour = `${program.sleepable ? '_sleepable' : ''}${program.recursionChecked ? '_recur' : ''}`;
  return { enter: `__bpf_prog_enter${flavour}`, exit: `__bpf_prog_exit${flavour}` };
}

/** Every kernel function a trampoline with these programs calls. */
export function trampolineSymbols(
  request: Pick<BpfTrampolineRequest, 'layout' | 'programs' | 'flags'>,
): readonly string[] {
  if (request.layout === 'seed' || isDirectLayout(request.layout)) return [];
  const names = new Set(request.flags.callOrig ? ['__bpf_tramp_enter', '__bpf_tramp_exit'] : []);
  for (const program of request.programs) {
    const { enter, exit } = programSymbols(program);
    names.add(enter).add(exit);
  }
  return [...names];
}
