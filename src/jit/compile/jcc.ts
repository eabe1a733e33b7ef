import type { JumpOp } from '../bpf/index.ts';

/** Opcode of the short jump; the long one is 0x0f and this plus 0x10. */
export const JCC: Readonly<Record<JumpOp, number>> = {
  jeq: 0x74,
  jset: 0x75,
  jne: 0x75,
  jgt: 0x77,
  jlt: 0x72,
  jge: 0x73,
  jle: 0x76,
  jsgt: 0x7f,
  jslt: 0x7c,
  jsge: 0x7d,
  jsle: 0x7e,
};
