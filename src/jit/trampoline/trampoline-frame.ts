import type { TrampolineFlags } from './trampoline-request.ts';

/** MAX_BPF_FUNC_ARGS (6.12). */
export const MAX_BPF_FUNC_ARGS = 12;
const REGISTER_WORDS = 6;
/** sizeof(struct bpf_tramp_run_ctx): the cookie and the saved context. */
const RUN_CTX_SIZE = 16;

/** Where one parameter of the traced function arrives. */
export interface ParameterPlace {
  readonly words: number;
  /** Index of its first register among the six argument registers; undefined when the caller's stack holds it. */
  readonly register: number | undefined;
}

/** Distances below %rbp of a trampoline's frame, and how much %rsp goes down. */
export interface TrampolineFrame {
  readonly argWords: number;
  readonly parameters: readonly ParameterPlace[];
  /** Words that the caller passed on its stack. */
  readonly stackWords: number;
  readonly regsOff: number;
  readonly nregsOff: number;
  readonly ipOff: number;
  /** 6.12 keeps %rbx in the frame; 6.1 pushes it. */
  readonly rbxOff: number | undefined;
  readonly runCtxOff: number;
  readonly argStackOff: number;
  readonly stackSize: number;
}

export const wordsOf = (size: number): number => Math.ceil(size / 8);

/**
 * A parameter goes to registers if all its words fit into those that are left, else to the stack, and later, smaller ones may still
 * use registers (save_args, 6.12; System V ABI 3.2.3).
 */
export function placeParameters(argSizes: readonly number[]): readonly ParameterPlace[] {
  let used = 0;
  return argSizes.map((size) => {
    const words = wordsOf(size);
    if (used + words > REGISTER_WORDS) return { words, register: undefined };
    const register = used;
    used += words;
    return { words, register };
  });
}

/** The stack layout of __arch_prepare_bpf_trampoline (6.12) or, with `rbxInFrame` false, of arch_prepare_bpf_trampoline (6.1). */
export function layOutFrame(argSizes: readonly number[], flags: TrampolineFlags, rbxInFrame: boolean): TrampolineFrame {
  const parameters = placeParameters(argSizes);
  const argWords = parameters.reduce((sum, { words }) => sum + words, 0);
  const stackWords = parameters.reduce((sum, place) => sum + (place.register === undefined ? place.words : 0), 0);

  const regsOff = (flags.callOrig ? 8 : 0) + argWords * 8;
  const nregsOff = regsOff + 8;
  const ipOff = nregsOff + (flags.ipArg ? 8 : 0);
  const rbxOff = rbxInFrame ? ipOff + 8 : undefined;
  const runCtxOff = (rbxOff ?? ipOff) + RUN_CTX_SIZE;
  let stackSize = runCtxOff;
  if (argWords > REGISTER_WORDS && flags.callOrig) {
    stackSize += stackWords * 8;
    // With the return address of the caller and ours and %rbp above it, the original is then called with %rsp at a multiple of 16.
    if (stackSize % 16 === 0) stackSize += 8;
  }
  return {
    argWords,
    parameters,
    stackWords,
    regsOff,
    nregsOff,
    ipOff,
    rbxOff,
    runCtxOff,
    argStackOff: stackSize,
    stackSize,
  };
}
