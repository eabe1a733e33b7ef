import { ENDBR64, NOP5, nop } from '../../insn/index.ts';
import { emitReturn, type GeneratedCodeCpu } from '../x86/generated-code.ts';
import { RAX, RBP, RDI, RSI, RSP } from '../x86/registers.ts';
import { x86Emitter } from '../x86/x86-emitter.ts';

export interface CountingProgramRequest {
  /** Whose BPF JIT lays it out. */
  readonly layout: 'linux-6.12' | 'linux-6.1';
  /** Where it will live, counted from `_text`. */
  readonly at: number;
  /** Kernel address of the u64 it increments; one per attachment makes the code distinct per attachment. */
  readonly counter: bigint;
  /** What it returns, a signed 32-bit number (fmod_ret: nonzero skips the function). Default 0. */
  readonly returns?: number;
  readonly cpu: GeneratedCodeCpu;
}

/**
 * The program of an attachment that brings none, as the kernel's JIT compiles
 * `lock *(u64 *)(counter) += 1; return returns;`: [endbr64] nop5, nop3 (6.1: nop2; where a tail call count would be set up), push %rbp,
 * mov %rsp,%rbp, [endbr64], body, leave, return (emit_prologue, do_jit, 6.12). Ignores its context.
 * Throws RangeError for a result beyond 32 bits.
 */
export function generateCountingProgram(request: CountingProgramRequest): Uint8Array {
  const { cpu, returns = 0 } = request;
  if (!Number.isInteger(returns) || returns !== (returns | 0))
    throw new RangeError(`a program returns a signed 32-bit number, not ${returns}`);
  const code = x86Emitter(request.at);
  if (cpu.ibt) code.bytes(ENDBR64);
  code.bytes(NOP5);
  code.bytes(nop(request.layout === 'linux-6.1' ? 2 : 3));
  code.push(RBP);
  code.movReg(RBP, RSP);
  if (cpu.ibt) code.bytes(ENDBR64);
  code.movImm64(RDI, request.counter);
  code.movImm64(RSI, 1n);
  code.raw(0xf0, 0x48, 0x01, 0x77, 0x00);
  code.movImm64(RAX, BigInt(returns));
  code.raw(0xc9);
  emitReturn(code, cpu);
  return code.finish();
}
