import { BPF_REG_FP, type BpfCode, type BpfFunction, insnTable, MAX_BPF_STACK } from '../bpf/index.ts';

/** What a function's instructions use. */
export interface FunctionUse {
  /** Registers that any field of any slot names, a bit for each. */
  readonly registers: number;
  readonly hasTailCall: boolean;
  /** Bytes of stack: what its own accesses through R10 reach, or all 512 once the address of the stack goes anywhere else. */
  readonly stackDepth: number;
}

const FP = BPF_REG_FP;
const STACK_MAX = MAX_BPF_STACK;
const IS_TAIL_CALL = insnTable(({ meaning }) => (meaning.kind === 'tail-call' ? 1 : 0));
/** What an instruction does with R10: 1 uses its source as a base, 2 its destination as a base, 3 its source as a value, 4 both ways. */
const USES = insnTable(({ meaning, src }) => {
  if (meaning.kind === 'load') return 1;
  const readsSource = src === 'read' || src === 'update';
  if (meaning.kind === 'store' || meaning.kind === 'atomic') return readsSource ? 4 : 2;
  return readsSource ? 3 : 0;
});

/** Bytes of stack that one instruction which names R10 asks for. */
function depthOf(use: number, dst: number, src: number, off: number): number {
  if (src === FP && (use === 3 || use === 4)) return STACK_MAX;
  const isBase = (src === FP && use === 1) || (dst === FP && (use === 2 || use === 4));
  if (isBase) return Math.max(0, -off);
  return dst === FP ? STACK_MAX : 0;
}

export function usesOf(code: BpfCode, { start, end }: BpfFunction): FunctionUse {
  const { insn: insns, dst: dsts, src: srcs, off: offs } = code;
  let registers = 0;
  let tailCalls = 0;
  let deepest = 0;
  for (let slot = start; slot < end; slot++) {
    const insn = insns[slot] as number;
    const dst = dsts[slot] as number;
    const src = srcs[slot] as number;
    registers |= (1 << dst) | (1 << src);
    tailCalls |= IS_TAIL_CALL[insn] as number;
    if (dst === FP || src === FP)
      deepest = Math.max(deepest, depthOf(USES[insn] as number, dst, src, offs[slot] as number));
  }
  return { registers, hasTailCall: tailCalls !== 0, stackDepth: Math.min(deepest, STACK_MAX) };
}

/** Bytes of stack that a function needs when no verifier has said so. */
export const stackDepthOf = (code: BpfCode, each: BpfFunction): number => usesOf(code, each).stackDepth;
