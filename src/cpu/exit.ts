import type { CpuFault } from './fault.ts';

/**
 * Why a CPU stopped. %rip is where it goes on, except for `fault`, where it is on the instruction that faulted.
 *
 * `trap` is an exception that is reported behind the instruction (int3: vector 3, `int n`: n, single step: 1). The owner plays the handler: it may
 * change registers and memory and let the CPU run on, or deliver it to machine code with {@link Cpu.deliver}.
 */
export type CpuExit =
  | { readonly kind: 'budget' }
  | { readonly kind: 'fault'; readonly fault: CpuFault }
  | { readonly kind: 'trap'; readonly vector: number; readonly cause: 'int3' | 'int' | 'single-step' }
  | { readonly kind: 'hypercall'; readonly number: number }
  | { readonly kind: 'halted' }
  | { readonly kind: 'returned' };

export const BUDGET: CpuExit = Object.freeze({ kind: 'budget' });
export const HALTED: CpuExit = Object.freeze({ kind: 'halted' });
export const RETURNED: CpuExit = Object.freeze({ kind: 'returned' });
export const INT3: CpuExit = Object.freeze({ kind: 'trap', vector: 3, cause: 'int3' });
export const SINGLE_STEP: CpuExit = Object.freeze({ kind: 'trap', vector: 1, cause: 'single-step' });
