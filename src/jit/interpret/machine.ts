import type { BpfCode } from '../bpf/index.ts';
import type { HelperRegistry } from './helper.ts';
import type { BpfMemory } from './memory.ts';

/** Why a program stopped before its exit. */
export type BpfFaultReason = 'load' | 'store' | 'helper' | 'call-depth' | 'not-loaded' | 'exception';

export type BpfOutcome =
  | { readonly kind: 'returned'; readonly value: bigint; readonly instructions: number }
  | {
      readonly kind: 'fault';
      readonly slot: number;
      readonly reason: BpfFaultReason;
      readonly address?: bigint;
      readonly instructions: number;
    }
  | { readonly kind: 'budget'; readonly slot: number; readonly instructions: number };

/** MAX_CALL_FRAMES (include/linux/bpf_verifier.h, 6.12). */
export const MAX_CALL_FRAMES = 8;

/** Where to return to, and the registers that a call preserves. */
export interface Frame {
  readonly returnTo: number;
  readonly saved: readonly [bigint, bigint, bigint, bigint, bigint];
}

/** The state that an instruction works on. */
export interface Machine {
  readonly code: BpfCode;
  /** R0 to R10, unsigned 64 bits. */
  readonly regs: bigint[];
  readonly frames: Frame[];
  readonly memory: BpfMemory;
  readonly helpers: HelperRegistry;
  /** Set when it stops. */
  stopped: { readonly reason: BpfFaultReason; readonly address?: bigint } | 'exit' | undefined;
}

/** Carries out the instruction at `slot` and answers the next one; any number when it has set `stopped`. */
export type Step = (machine: Machine, slot: number) => number;

export function stop(machine: Machine, reason: BpfFaultReason, address?: bigint): number {
  machine.stopped = address === undefined ? { reason } : { reason, address };
  return -1;
}
