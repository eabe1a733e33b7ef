import { err, ok, type Prng, type Result } from '../../base/index.ts';
import { BPF_PSEUDO_FUNC, BPF_REG_AX, type BpfCode, type Insn, ISA, insnNamed, insnTable } from '../bpf/index.ts';
import { type Patch, type Rewriter, rewriteBpf } from './code-builder.ts';

const MOV_IMM = [insnNamed('mov32', 'imm'), insnNamed('mov', 'imm')] as const;
const XOR_IMM = [insnNamed('xor32', 'imm'), insnNamed('xor', 'imm')] as const;
const XOR64 = insnNamed('xor', 'reg');
const OR64 = insnNamed('or', 'reg');
const MOV64 = insnNamed('mov', 'reg');
const LSH64 = insnNamed('lsh', 'imm');

const BLINDED_ALU = ['add', 'sub', 'and', 'or', 'xor', 'mul', 'div', 'mod', 'sdiv', 'smod'];

function isBlinded({ meaning }: Insn): boolean {
  switch (meaning.kind) {
    case 'alu':
      return meaning.from === 'imm' && BLINDED_ALU.includes(meaning.op);
    case 'mov':
    case 'jump':
    case 'store':
      return meaning.from === 'imm';
    case 'ld-imm64':
      return true;
    default:
      return false;
  }
}

const NEEDS = insnTable((insn) => (isBlinded(insn) ? 1 : 0));
/** The same instruction with its operand in a register, by place in ISA. */
const FROM_REGISTER: readonly (Insn | undefined)[] = ISA.map((insn) => {
  if (!isBlinded(insn) || insn.meaning.kind === 'ld-imm64') return undefined;
  const name = insn.meaning.kind === 'store' ? insn.name.replace('st', 'stx') : insn.name;
  return insnNamed(name, 'reg');
});

/**
 * R11 := value, without the value in the code. A random number of 64-bit constants has the value's sign, so that their exclusive or takes the
 * six-byte `mov`: 31 random bits, never longer than what the kernel happens to draw.
 */
function load(patch: Patch, random: number, value: number, wide: 0 | 1): void {
  const key = wide === 1 ? (random & 0x7fff_ffff) | (value & 0x8000_0000) : random | 0;
  patch.emit(MOV_IMM[wide], BPF_REG_AX, 0, 0, value ^ key);
  patch.emit(XOR_IMM[wide], BPF_REG_AX, 0, 0, key);
}

const blind =
  (prng: Prng): Rewriter =>
  (code, slot, patch) => {
    const insn = ISA[code.insn[slot] as number] as Insn;
    const { meaning } = insn;
    const dst = code.dst[slot] as number;
    const imm = code.imm[slot] as number;
    if (dst === BPF_REG_AX || code.src[slot] === BPF_REG_AX) return false;
    if (meaning.kind === 'ld-imm64') {
      if (code.src[slot] === BPF_PSEUDO_FUNC) return false;
      load(patch, prng.u32(), code.imm[slot + 1] as number, 1);
      patch.emit(LSH64, BPF_REG_AX, 0, 0, 32);
      patch.emit(MOV64, dst, BPF_REG_AX, 0, 0);
      load(patch, prng.u32(), imm, 0);
      patch.emit(OR64, dst, BPF_REG_AX, 0, 0);
      return true;
    }
    if (meaning.kind === 'mov' && imm === 0) {
      patch.emit(XOR64, dst, dst, 0, 0);
      return true;
    }
    const inRegister = FROM_REGISTER[insn.index] as Insn;
    const wide = meaning.kind === 'store' || ('width' in meaning && meaning.width === 64) ? 1 : 0;
    load(patch, prng.u32(), imm, wide);
    if (meaning.kind === 'jump') patch.jump(inRegister, dst, BPF_REG_AX, 0);
    else patch.emit(inRegister, dst, BPF_REG_AX, code.off[slot] as number, 0);
    return true;
  };

/**
 * Constant blinding, after the fix-ups (bpf_jit_blind_constants, kernel/bpf/core.c, 6.12; net.core.bpf_jit_harden): no immediate of the program
 * stands in the machine code as it was written.
 *
 * Faults: ERANGE a jump across the added instructions no longer fits its 16 bits.
 */
export function blindConstants(
  code: BpfCode,
  prng: Prng,
): Result<{ readonly code: BpfCode; readonly startOf: Int32Array }> {
  const rewritten = rewriteBpf(code, NEEDS, blind(prng));
  if (rewritten !== undefined) return ok(rewritten);
  const detail = 'with its constants blinded a jump of the program is more than 32767 instructions long';
  return err({
    errno: 'ERANGE',
    rule: 'bpf.jit.jump-range',
    detail,
    linux: 'bpf_adj_branches, kernel/bpf/core.c (6.12)',
  });
}
