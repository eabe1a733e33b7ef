import type { Insn, JumpOp } from '../bpf/index.ts';
import type { Emit } from './emit-alu.ts';
import { isImm8, putRegister, putRegister8, putRegisters, rexBase } from './x86.ts';

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

/** The comparison in front of a conditional jump. */
export function emitComparison({ op, width, from }: Insn['meaning'] & { readonly kind: 'jump' }): Emit {
  const base = rexBase(width === 64);
  const opcode = op === 'jset' ? 0x85 : 0x39;
  if (from === 'reg') return (b, dst, src) => putRegisters(b, base, opcode, dst, src);
  if (op === 'jset') {
    return (b, dst, _src, _off, imm) => {
      putRegister(b, base, 0xf7, 0xc0, dst);
      b.put32(imm);
    };
  }
  return (b, dst, _src, _off, imm) => {
    if (imm === 0) putRegisters(b, base, 0x85, dst, dst);
    else if (isImm8(imm)) putRegister8(b, base, 0x83, 0xf8, dst, imm);
    else {
      putRegister(b, base, 0x81, 0xf8, dst);
      b.put32(imm);
    }
  };
}
