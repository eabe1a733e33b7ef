import type { X86Emitter } from './x86-emitter.ts';

/** What the CPU and the kernel's configuration ask of every piece of generated code. Offsets count from `_text`. */
export interface GeneratedCodeCpu {
  /** `x86_return_thunk` where returns are jumps to it (cpu_wants_rethunk); undefined where `ret` stays. */
  readonly returnThunk?: number;
  /**
   * True where that thunk is its_return_thunk (6.12): code that Linux places by address then uses it only in the lower half of a
   * 64-byte line (cpu_wants_rethunk_at); the BPF JIT always does.
   */
  readonly returnThunkIsIts?: boolean;
  /** CONFIG_SLS / CONFIG_MITIGATION_SLS: an int3 behind every `ret`. */
  readonly sls: boolean;
  /**
   * The per-CPU call depth (`pcpu_hot + X86_call_depth`) where call depth is tracked (thunks_initialized). It lies in the per-CPU
   * segment near address 0; as an offset that is its address minus that of `_text`, modulo 2^64.
   */
  readonly callDepth?: number;
  /** CONFIG_X86_KERNEL_IBT: indirectly called code begins with `endbr64`. */
  readonly ibt: boolean;
}

/** Bytes of int3 that the kernel keeps behind a trampoline image (BPF_INSN_SAFETY, 6.12). */
export const BPF_INSN_SAFETY = 64;

/** `sarq $5,%gs:pcpu_hot+X86_call_depth(%rip)`: x86_call_depth_emit_accounting, callthunks.c (6.12). Nothing where it is not tracked. */
export function emitCallDepthAccounting(code: X86Emitter, cpu: GeneratedCodeCpu): void {
  if (cpu.callDepth === undefined) return;
  const length = 9;
  const displacement = cpu.callDepth - (code.here + length);
  code.raw(0x65, 0x48, 0xc1, 0x3d);
  code.imm32(displacement | 0);
  code.raw(0x05);
}

/** A call as the JIT makes one: accounted for where call depth is tracked (emit_rsb_call). */
export function emitRsbCall(code: X86Emitter, cpu: GeneratedCodeCpu, target: number): void {
  emitCallDepthAccounting(code, cpu);
  code.call(target);
}

/** emit_return: a jump to the return thunk, or `ret` (and int3). */
export function emitReturn(code: X86Emitter, cpu: GeneratedCodeCpu): void {
  if (cpu.returnThunk !== undefined) code.jmp(cpu.returnThunk);
  else code.raw(0xc3, ...(cpu.sls ? [0xcc] : []));
}
