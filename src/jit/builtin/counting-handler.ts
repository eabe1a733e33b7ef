import { ENDBR64 } from '../../insn/index.ts';
import { emitReturn, type GeneratedCodeCpu } from '../x86/generated-code.ts';
import { RAX, RBP, RSP } from '../x86/registers.ts';
import { type X86Emitter, x86Emitter } from '../x86/x86-emitter.ts';

export interface CountingHandlerRequest {
  /** Where it will live, counted from `_text`. */
  readonly at: number;
  /** Kernel address of the u64 it increments. */
  readonly counter: bigint;
  readonly cpu: GeneratedCodeCpu;
}

/** `lock incq (%rax)` */
const LOCK_INC_AT_RAX = [0xf0, 0x48, 0xff, 0x00] as const;

function emitCount(code: X86Emitter, counter: bigint): void {
  code.movImm64(RAX, counter);
  code.raw(...LOCK_INC_AT_RAX);
}

/**
 * The callback of an ftrace_ops that brings none (ftrace_func_t): counts and returns. ftrace_caller has saved what a C function may clobber.
 */
export function generateCountingHandler(request: CountingHandlerRequest): Uint8Array {
  const code = x86Emitter(request.at);
  if (request.cpu.ibt) code.bytes(ENDBR64);
  emitCount(code, request.counter);
  emitReturn(code, request.cpu);
  return code.finish();
}

/**
 * The trampoline of a direct call that brings none: called from the site itself before the function has saved anything, so it gives back
 * every register as it found it (flags are dead at a function entry). No ENDBR: it is only called directly.
 */
export function generateCountingDirectTrampoline(request: CountingHandlerRequest): Uint8Array {
  const code = x86Emitter(request.at);
  code.push(RBP);
  code.movReg(RBP, RSP);
  code.push(RAX);
  emitCount(code, request.counter);
  code.pop(RAX);
  code.pop(RBP);
  emitReturn(code, request.cpu);
  return code.finish();
}

export interface ReplacementRequest {
  readonly at: number;
  /** What it returns, a signed 32-bit number. */
  readonly returns: number;
  readonly cpu: GeneratedCodeCpu;
}

/** The function of a livepatch that brings none: returns a constant. Reached by a changed instruction pointer, which IBT does not check. */
export function generateReplacement(request: ReplacementRequest): Uint8Array {
  const code = x86Emitter(request.at);
  if (request.cpu.ibt) code.bytes(ENDBR64);
  code.movImm64(RAX, BigInt(request.returns));
  emitReturn(code, request.cpu);
  return code.finish();
}
