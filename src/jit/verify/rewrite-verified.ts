import { type BpfCode, type BpfFunction, type Insn, ISA, insnNamed, insnTable, jumpTarget } from '../bpf/index.ts';
import { type Patch, type Rewritten, rewriteBpf } from '../rewrite/code-builder.ts';
import type { VerifiedType } from './request.ts';
import type { Verification } from './verify.ts';

const JA = insnNamed('ja');
const MOV_IMM = insnNamed('mov', 'imm');
const BPF_FUNC_GET_FUNC_RET = 184;
const EOPNOTSUPP = 95;
const EVERY_INSN = insnTable(() => 1);

/** Loads by their place in ISA: the same one that reads 0 where there is no memory. */
const PROBES: readonly (Insn | undefined)[] = ISA.map(({ name, meaning }) =>
  meaning.kind === 'load' && !meaning.isProbe ? insnNamed(`probe ${name}`) : undefined,
);

/** Programs that run before the function has a result: bpf_get_func_ret is a constant there (do_misc_fixups). */
const WITHOUT_RESULT: ReadonlySet<VerifiedType | undefined> = new Set(['fentry', 'lsm']);

const asksForResult = (code: BpfCode, slot: number, { meaning }: Insn): boolean =>
  meaning.kind === 'call' && meaning.callee === 'helper' && code.imm[slot] === BPF_FUNC_GET_FUNC_RET;

/** Jumps of which only one side is ever taken become that side; what no path leads to goes (opt_hard_wire_dead_code_branches, opt_remove_dead_code). */
function removeDead(
  code: BpfCode,
  { seen, probes }: Pick<Verification, 'seen' | 'probes'>,
  type: VerifiedType | undefined,
): Rewritten | undefined {
  return rewriteBpf(code, EVERY_INSN, (_, slot, patch) => {
    if (seen[slot] === 0) return true;
    const insn = ISA[code.insn[slot] as number] as Insn;
    if (insn.meaning.kind === 'jump') return hardWire(code, slot, seen, patch);
    if (WITHOUT_RESULT.has(type) && asksForResult(code, slot, insn)) {
      patch.emit(MOV_IMM, 0, 0, 0, -EOPNOTSUPP);
      return true;
    }
    const probe = probes[slot] === 1 ? PROBES[insn.index] : undefined;
    if (probe === undefined) return false;
    patch.emit(probe, code.dst[slot] as number, code.src[slot] as number, code.off[slot] as number, 0);
    return true;
  });
}

function hardWire(code: BpfCode, slot: number, seen: Uint8Array, patch: Patch): boolean {
  const target = jumpTarget(code, slot) as number;
  if (seen[slot + 1] === 0 && target !== slot + 1) patch.jump(JA, 0, 0, 0);
  else if (seen[target] !== 0) return false;
  return true;
}

/** Jumps to the next instruction (opt_remove_nops). */
const removeNops = (code: BpfCode): Rewritten | undefined =>
  rewriteBpf(code, EVERY_INSN, (_, slot) => code.insn[slot] === JA.index && code.off[slot] === 0);

export interface VerifiedCode {
  readonly code: BpfCode;
  /** Of what is left of each, with the bytes of stack that it uses. */
  readonly functions: readonly BpfFunction[];
  readonly stackDepths: readonly number[];
  /** Which they were. */
  readonly kept: readonly number[];
}

/**
 * The program as the kernel's verifier leaves it, but for what `fixUpBpf` does: without what no path leads to, and with loads through pointers
 * that may be wild made ones that fault to 0 (convert_ctx_accesses, kernel/bpf/verifier.c, 6.12).
 */
export function rewriteVerified(
  code: BpfCode,
  functions: readonly BpfFunction[],
  verification: Pick<Verification, 'seen' | 'probes' | 'stackDepths'>,
  type?: VerifiedType,
): VerifiedCode {
  const alive = removeDead(code, verification, type);
  const dense = alive === undefined ? undefined : removeNops(alive.code);
  if (alive === undefined || dense === undefined) {
    const kept = functions.map((_, index) => index);
    return { code, functions, stackDepths: verification.stackDepths, kept };
  }
  const place = (slot: number): number => dense.startOf[alive.startOf[slot] as number] as number;
  const left = functions
    .map(({ start, end }, index) => ({
      range: { start: place(start), end: place(end) },
      depth: verification.stackDepths[index] ?? 0,
      index,
    }))
    .filter(({ range }) => range.end > range.start);
  return {
    code: dense.code,
    functions: left.map(({ range }) => range),
    stackDepths: left.map(({ depth }) => depth),
    kept: left.map(({ index }) => index),
  };
}
