import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { type BpfCode, SECOND_SLOT } from './code.ts';
import { insnTable } from './isa.ts';
import { BPF_PSEUDO_FUNC } from './opcodes.ts';

/** BPF_MAX_SUBPROGS (include/linux/bpf_verifier.h, 6.12). */
export const BPF_MAX_SUBPROGS = 256;
const SUBPROGS = 'check_subprogs, kernel/bpf/verifier.c (6.12)';

/** Slots [start, end) of one function; the first is the program itself, the others are called from it. */
export interface BpfFunction {
  readonly start: number;
  readonly end: number;
}

/** What jumps to another slot, by place in ISA: 1 its offset says where, 2 its immediate. */
const JUMPS = insnTable(({ off, imm }) => (off === 'target' ? 1 : imm === 'target' ? 2 : 0));
const IS_LOCAL_CALL = insnTable(({ imm }) => (imm === 'function' ? 1 : 0));
const IS_FUNCTION_ADDRESS = insnTable(({ meaning, src }) =>
  meaning.kind === 'ld-imm64' && src === BPF_PSEUDO_FUNC ? 1 : 0,
);
/** After what a function may end (check_subprogs). */
const ENDS = insnTable(({ meaning }) => (meaning.kind === 'exit' || meaning.kind === 'ja' ? 1 : 0));

/** Where the instruction at `slot` jumps to; undefined when it does not jump. */
export function jumpTarget(code: BpfCode, slot: number): number | undefined {
  const kind = JUMPS[code.insn[slot] as number];
  if (kind === 1) return slot + 1 + (code.off[slot] as number);
  return kind === 2 ? slot + 1 + (code.imm[slot] as number) : undefined;
}

/** Where the instruction at `slot` says a function of this program begins: a local call, or an address taken of one. */
export function calledFunction(code: BpfCode, slot: number): number | undefined {
  const insn = code.insn[slot] as number;
  return IS_LOCAL_CALL[insn] === 1 || IS_FUNCTION_ADDRESS[insn] === 1
    ? slot + 1 + (code.imm[slot] as number)
    : undefined;
}

const fault = (index: number, rule: string, detail: string): Fault => ({
  errno: 'EINVAL',
  rule,
  detail: `instruction ${index}: ${detail}`,
  linux: SUBPROGS,
  index,
});

/**
 * Finds the functions of a program and checks that control stays inside each: the rules of `add_subprog_and_kfunc` and `check_subprogs`.
 *
 * Faults, each with the slot in `index`: EINVAL a jump or call that leaves the function or program or hits half a 64-bit immediate, a
 * function whose last instruction is neither exit nor an unconditional jump; E2BIG too many functions.
 */
export function layOutBpf(code: BpfCode): Result<readonly BpfFunction[]> {
  const starts = new Set([0]);
  for (let slot = 0; slot < code.length; slot++) {
    const callee = calledFunction(code, slot);
    if (callee === undefined) continue;
    if (!isInstruction(code, callee))
      return err(fault(slot, 'bpf.insn.call-target', `no function can begin at ${callee}`));
    starts.add(callee);
  }
  if (starts.size > BPF_MAX_SUBPROGS) {
    const detail = `a program has at most ${BPF_MAX_SUBPROGS} functions, not ${starts.size}`;
    return err({
      errno: 'E2BIG',
      rule: 'bpf.program.functions',
      detail,
      linux: 'add_subprog, kernel/bpf/verifier.c (6.12)',
    });
  }
  const sorted = [...starts].sort((a, b) => a - b);
  const functions: BpfFunction[] = [];
  for (const [index, start] of sorted.entries()) {
    const each = { start, end: sorted[index + 1] ?? code.length };
    const problem = functionProblem(code, each);
    if (problem !== undefined) return err(problem);
    functions.push(each);
  }
  return ok(functions);
}

function isInstruction(code: BpfCode, slot: number): boolean {
  return slot >= 0 && slot < code.length && code.insn[slot] !== SECOND_SLOT;
}

function functionProblem(code: BpfCode, { start, end }: BpfFunction): Fault | undefined {
  for (let slot = start; slot < end; slot++) {
    const target = jumpTarget(code, slot);
    if (target === undefined) continue;
    if (target < start || target >= end)
      return fault(slot, 'bpf.insn.jump', `jump out of range from insn ${slot} to ${target}`);
    if (code.insn[target] === SECOND_SLOT) {
      return fault(slot, 'bpf.insn.jump', `jump into the middle of the 64-bit immediate at ${target - 1}`);
    }
  }
  const last = end - 1;
  if (ENDS[code.insn[last] as number] === 1) return undefined;
  return fault(last, 'bpf.insn.falls-off', 'last insn is not an exit or jmp');
}
