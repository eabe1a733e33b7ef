import { BPF_REG_FP, type BpfCode, type BpfFunction, ISA, MAX_BPF_STACK } from '../bpf/index.ts';

/** What an instruction does with R10: 1 uses its source as a base, 2 its destination as a base, 3 its source as a value, 4 both ways. */
const USES = Uint8Array.from(ISA, ({ meaning, src }) => {
  if (meaning.kind === 'load') return 1;
  const readsSource = src === 'read' || src === 'update';
  if (meaning.kind === 'store' || meaning.kind === 'atomic') return readsSource ? 4 : 2;
  return readsSource ? 3 : 0;
});

/**
 * Bytes of stack that a function needs when no verifier has said so: what its own accesses through R10 reach, or all 512 once the address of
 * the stack goes anywhere else.
 */
export function stackDepthOf(code: BpfCode, { start, end }: BpfFunction): number {
  let deepest = 0;
  for (let slot = start; slot < end; slot++) {
    const dst = code.dst[slot] as number;
    const src = code.src[slot] as number;
    if (dst !== BPF_REG_FP && src !== BPF_REG_FP) continue;
    const use = USES[code.insn[slot] as number] as number;
    if (src === BPF_REG_FP && (use === 3 || use === 4)) return MAX_BPF_STACK;
    const isBase = (src === BPF_REG_FP && use === 1) || (dst === BPF_REG_FP && (use === 2 || use === 4));
    if (isBase) deepest = Math.max(deepest, -(code.off[slot] as number));
    else if (dst === BPF_REG_FP) return MAX_BPF_STACK;
  }
  return Math.min(deepest, MAX_BPF_STACK);
}
