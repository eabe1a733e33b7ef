import type { KernelAddress } from '../../base/index.ts';
import type { BpfCode, BpfFunction } from '../bpf/index.ts';
import type { GeneratedCodeCpu } from '../x86/generated-code.ts';

/** How code that the JIT makes jumps to an address in %rcx (emit_indirect_jump, 6.12). */
export type IndirectJump =
  /** Through `__x86_indirect_thunk_rcx` or its like, counted from `_text`. */
  | { readonly kind: 'thunk'; readonly rcx: number }
  | { readonly kind: 'lfence' }
  /** `jmp *%rcx`, with an int3 behind it where the kernel is built for retpolines or against straight-line speculation. */
  | { readonly kind: 'plain'; readonly hasInt3: boolean };

/** What the CPU and the mitigations ask of compiled programs. */
export interface BpfJitCpu extends GeneratedCodeCpu {
  /** Shifts by a register through shlx, shrx and sarx. */
  readonly bmi2: boolean;
  readonly indirectJump: IndirectJump;
}

/** Offsets of fields that a tail call reads (pahole; they depend on the kernel's configuration). */
export interface TailCallLayout {
  /** `bpf_array.map.max_entries` */
  readonly maxEntries: number;
  /** `bpf_array.ptrs` */
  readonly ptrs: number;
  /** `bpf_prog.bpf_func` */
  readonly bpfFunc: number;
}

export interface CompileRequest {
  /** After `fixUpBpf` (or a verifier), and `blindConstants` if wanted; immediates resolved to numbers or to functions of the program. */
  readonly code: BpfCode;
  readonly functions: readonly BpfFunction[];
  /** Bytes of stack of each function; without it what {@link stackDepthOf} finds. */
  readonly stackDepths?: readonly number[];
  /** Where the first byte will live, counted from `_text`. */
  readonly at: number;
  /** Address of `_text`. */
  readonly base: KernelAddress;
  readonly cpu: BpfJitCpu;
  /** Where the code of a helper begins, counted from `_text`. */
  readonly helper: (id: number) => number | undefined;
  /** What a call by register goes through: it finds the helper's number in %rax. No kernel has one. */
  readonly callx?: number;
  readonly tailCall?: TailCallLayout;
  /** Divisions and shifts leave r11 alone, because the trampoline has pointed it at the arguments. */
  readonly keepsR11?: boolean;
}

/** A load that may fault: execution goes on behind it with the register 0 (ex_handler_bpf). Offsets count from the first byte. */
export interface ExtableEntry {
  readonly at: number;
  readonly resumeAt: number;
  /** x86 number of the register that becomes 0. */
  readonly clears: number;
}

export interface CompiledFunction {
  /** Slots of the code that was compiled. */
  readonly slots: BpfFunction;
  /** Bytes [start, end) of the image. */
  readonly start: number;
  readonly end: number;
}

export interface CompiledBpf {
  /** The functions one behind the other. */
  readonly bytes: Uint8Array;
  readonly functions: readonly CompiledFunction[];
  /** Byte at which each slot's machine code begins. */
  readonly slotStarts: Int32Array;
  readonly extable: readonly ExtableEntry[];
}
