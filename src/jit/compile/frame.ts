import { ENDBR64, NOP5, nop } from '../../insn/index.ts';
import { type BpfCode, type BpfFunction, calledFunction } from '../bpf/index.ts';
import type { CodeBuffer } from './code-buffer.ts';
import type { CompileRequest } from './compile-request.ts';
import { type FunctionUse, usesOf } from './function-use.ts';

/** What a function's first and last instructions depend on. */
export interface FunctionFrame {
  readonly isSubprogram: boolean;
  /** Bytes of stack, a multiple of 8. */
  readonly stackDepth: number;
  /** R6 to R9: which of them it touches. */
  readonly saves: readonly [boolean, boolean, boolean, boolean];
  /** It, or something that it calls, makes a tail call: %rax carries the count, or a pointer to it. */
  readonly isTailCallReachable: boolean;
}

/** Tail calls that one run may make. */
export const MAX_TAIL_CALL_CNT = 33;
const XOR_RAX = [0x48, 0x31, 0xc0];
const SAVED = [
  { push: [0x53], pop: [0x5b] },
  { push: [0x41, 0x55], pop: [0x41, 0x5d] },
  { push: [0x41, 0x56], pop: [0x41, 0x5e] },
  { push: [0x41, 0x57], pop: [0x41, 0x5f] },
] as const;

/** The frame of each function. */
export function framesOf({ code, functions, stackDepths }: CompileRequest): readonly FunctionFrame[] {
  const uses: FunctionUse[] = [];
  for (const each of functions) uses.push(usesOf(code, each));
  const reachable = tailCallReachable(code, functions, uses);
  return uses.map(({ registers, stackDepth }, index) => ({
    isSubprogram: index > 0,
    stackDepth: ((stackDepths?.[index] ?? stackDepth) + 7) & ~7,
    // detect_reg_usage (6.12): R6 to R9 named by any field of any slot.
    saves: [(registers & 64) !== 0, (registers & 128) !== 0, (registers & 256) !== 0, (registers & 512) !== 0],
    isTailCallReachable: reachable[index] as boolean,
  }));
}

/** A function that makes a tail call, and every one on a way to it (check_max_stack_depth_subprog, 6.12). */
function tailCallReachable(
  code: BpfCode,
  functions: readonly BpfFunction[],
  uses: readonly FunctionUse[],
): readonly boolean[] {
  const found = uses.map(({ hasTailCall }) => hasTailCall);
  if (!found.includes(true)) return found;
  const indexOf = new Map(functions.map(({ start }, index) => [start, index]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const [index, { start, end }] of functions.entries()) {
      for (let slot = start; slot < end && found[index] !== true; slot++) {
        const callee = calledFunction(code, slot);
        if (callee === undefined || found[indexOf.get(callee) as number] !== true) continue;
        found[index] = true;
        changed = true;
      }
    }
  }
  return found;
}

const put = (b: CodeBuffer, bytes: Iterable<number>): void => {
  for (const byte of bytes) b.put1(byte);
};

/**
 * emit_prologue (6.12): [endbr64], nop5 (what a trampoline is attached to), `xor %rax,%rax` or nop3, push %rbp, mov %rsp,%rbp, [endbr64]
 * (where a tail call enters), room on the stack, the count of tail calls, the callee's registers.
 */
export function putPrologue(b: CodeBuffer, frame: FunctionFrame, ibt: boolean): void {
  b.reserve(64);
  if (ibt) put(b, ENDBR64);
  put(b, NOP5);
  put(b, frame.isTailCallReachable && !frame.isSubprogram ? XOR_RAX : nop(3));
  b.put4(0x55, 0x48, 0x89, 0xe5);
  if (ibt) put(b, ENDBR64);
  if (frame.stackDepth > 0) putAddRsp(b, 0xec, frame.stackDepth);
  if (frame.isTailCallReachable) putTailCallCount(b, frame.isSubprogram);
  for (const [index, { push }] of SAVED.entries()) if (frame.saves[index] === true) put(b, push);
}

/** `sub $depth,%rsp` or, with 0xc4, `add`. */
export function putAddRsp(b: CodeBuffer, modRm: 0xec | 0xc4, depth: number): void {
  b.put3(0x48, 0x81, modRm);
  b.put32(depth);
}

/** emit_prologue_tail_call (6.12): keeps the count, or the caller's pointer to it, on the stack, and a pointer to it below. */
function putTailCallCount(b: CodeBuffer, isSubprogram: boolean): void {
  if (isSubprogram) {
    b.put2(0x50, 0x50);
    return;
  }
  b.put4(0x48, 0x83, 0xf8, MAX_TAIL_CALL_CNT);
  b.put2(0x77, 6);
  b.put4(0x50, 0x48, 0x89, 0xe0);
  b.put4(0xeb, 1, 0x50, 0x50);
}

/** The callee's registers back, in the opposite order. */
export function putPops(b: CodeBuffer, frame: FunctionFrame): void {
  for (const [index, { pop }] of [...SAVED.entries()].reverse()) if (frame.saves[index] === true) put(b, pop);
}

/** `mov -depth-16(%rbp),%rax`: the pointer to the count of tail calls, for who is called. */
export function putLoadTailCallCount(b: CodeBuffer, frame: FunctionFrame): void {
  b.put3(0x48, 0x8b, 0x85);
  b.put32(-16 - frame.stackDepth);
}
