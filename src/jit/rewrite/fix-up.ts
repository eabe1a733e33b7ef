import { err, ok, type Result } from '../../base/index.ts';
import { BPF_FUNC_TAIL_CALL, BPF_REG_AX, type BpfCode, type Insn, ISA, insnNamed, insnTable } from '../bpf/index.ts';
import { type Patch, type Rewriter, rewriteBpf } from './code-builder.ts';

const named = (name: string, from: 'imm' | 'reg'): readonly [Insn, Insn] => [
  insnNamed(`${name}32`, from),
  insnNamed(name, from),
];
/** By width: the 32-bit instruction first. */
const JNE = named('jne', 'imm');
const JEQ = named('jeq', 'imm');
const JGT = named('jgt', 'imm');
const ADD = named('add', 'imm');
const MOV = named('mov', 'imm');
const NEG = [insnNamed('neg32'), insnNamed('neg')] as const;
const XOR32 = insnNamed('xor32', 'reg');
const MOV32 = insnNamed('mov32', 'reg');
const MOV64 = insnNamed('mov', 'reg');
const JA = insnNamed('ja');
const TAIL_CALL = insnNamed('tail_call');

type Division = Insn['meaning'] & { readonly kind: 'alu' };

/** What may have to be done to an instruction. */
const [NOTHING, DIVISION, CMPXCHG, CALL] = [0, 1, 2, 3];
const NEEDS = insnTable(({ meaning }) => {
  switch (meaning.kind) {
    case 'alu':
      return ['div', 'mod', 'sdiv', 'smod'].includes(meaning.op) ? DIVISION : NOTHING;
    case 'atomic':
      return meaning.op === 'cmpxchg' && meaning.width === 32 ? CMPXCHG : NOTHING;
    case 'call':
      return meaning.callee === 'helper' ? CALL : NOTHING;
    default:
      return NOTHING;
  }
});

/**
 * What the kernel's verifier does to instructions before the JIT sees them, as far as it keeps the CPU from faulting (do_misc_fixups and
 * opt_subreg_zext_lo32_rnd_hi32, 6.12): divisions by a register get their checks (by 0 the quotient is 0 and the remainder the dividend,
 * the smallest number by -1 is itself), a 32-bit cmpxchg clears the upper half of R0, bpf_tail_call becomes an instruction.
 * Divisions by the constant 0, which the verifier refuses and RFC 9669 defines, become what they compute.
 */
const fixUp: Rewriter = (code, slot, patch) => {
  const insn = code.insn[slot] as number;
  if (NEEDS[insn] === CALL) {
    if (code.imm[slot] !== BPF_FUNC_TAIL_CALL) return false;
    patch.emit(TAIL_CALL, 0, 0, 0, 0);
    return true;
  }
  if (NEEDS[insn] === CMPXCHG) {
    patch.keep();
    patch.emit(MOV32, 0, 0, 0, 1);
    return true;
  }
  const meaning = (ISA[insn] as Insn).meaning as Division;
  return meaning.from === 'imm'
    ? divideByConstant(meaning, code, slot, patch)
    : divideByRegister(meaning, code, slot, patch);
};

function divideByConstant({ op, width }: Division, code: BpfCode, slot: number, patch: Patch): boolean {
  const dst = code.dst[slot] as number;
  const divisor = code.imm[slot] as number;
  const isQuotient = op === 'div' || op === 'sdiv';
  if (divisor === 0) {
    if (isQuotient) patch.emit(MOV[0], dst, 0, 0, 0);
    else if (width === 32) patch.emit(MOV32, dst, dst, 0, 0);
    return true;
  }
  if (divisor !== -1 || op === 'div' || op === 'mod') return false;
  if (isQuotient) patch.emit(NEG[width === 64 ? 1 : 0], dst, 0, 0, 0);
  else patch.emit(MOV[0], dst, 0, 0, 0);
  return true;
}

function divideByRegister({ op, width }: Division, code: BpfCode, slot: number, patch: Patch): boolean {
  const dst = code.dst[slot] as number;
  const src = code.src[slot] as number;
  const wide = width === 64 ? 1 : 0;
  /** A 32-bit remainder that is the dividend still clears the upper half. */
  const clears = 1 - wide;
  switch (op) {
    case 'div':
      patch.emit(JNE[wide], src, 0, 2, 0);
      patch.emit(XOR32, dst, dst, 0, 0);
      patch.emit(JA, 0, 0, 1, 0);
      patch.keep();
      break;
    case 'mod':
      patch.emit(JEQ[wide], src, 0, 1 + clears, 0);
      patch.keep();
      if (clears === 1) {
        patch.emit(JA, 0, 0, 1, 0);
        patch.emit(MOV32, dst, dst, 0, 0);
      }
      break;
    case 'sdiv':
      patch.emit(MOV64, BPF_REG_AX, src, 0, 0);
      patch.emit(ADD[wide], BPF_REG_AX, 0, 0, 1);
      patch.emit(JGT[wide], BPF_REG_AX, 0, 4, 1);
      patch.emit(JEQ[wide], BPF_REG_AX, 0, 1, 0);
      patch.emit(MOV[wide], dst, 0, 0, 0);
      patch.emit(NEG[wide], dst, 0, 0, 0);
      patch.emit(JA, 0, 0, 1, 0);
      patch.keep();
      break;
    default:
      patch.emit(MOV64, BPF_REG_AX, src, 0, 0);
      patch.emit(ADD[wide], BPF_REG_AX, 0, 0, 1);
      patch.emit(JGT[wide], BPF_REG_AX, 0, 3, 1);
      patch.emit(JEQ[wide], BPF_REG_AX, 0, 3 + clears, 1);
      patch.emit(MOV[0], dst, 0, 0, 0);
      patch.emit(JA, 0, 0, 1, 0);
      patch.keep();
      if (clears === 1) {
        patch.emit(JA, 0, 0, 1, 0);
        patch.emit(MOV32, dst, dst, 0, 0);
      }
  }
  return true;
}

/**
 * Makes a program of RFC 9669's instructions one that the compiler may take. Code that a verifier has rewritten already must not come here a
 * second time.
 *
 * Faults: ERANGE a jump across the added instructions no longer fits its 16 bits.
 */
export function fixUpBpf(code: BpfCode): Result<{ readonly code: BpfCode; readonly startOf: Int32Array }> {
  const rewritten = rewriteBpf(code, NEEDS, fixUp);
  if (rewritten !== undefined) return ok(rewritten);
  const detail = 'with the checks of its divisions a jump of the program is more than 32767 instructions long';
  return err({
    errno: 'ERANGE',
    rule: 'bpf.jit.jump-range',
    detail,
    linux: 'bpf_adj_branches, kernel/bpf/core.c (6.12)',
  });
}
