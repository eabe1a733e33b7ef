import type { BpfCode } from '../bpf/index.ts';
import type { HelperRun } from '../helpers/index.ts';
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

/** Where the functions of an interpreted program have their addresses: 8 bytes a slot, in the module area. Nothing is there. */
const FUNCTIONS_START = 0xffff_ffff_bf00_0000n;
export const functionAddress = (slot: number): bigint => FUNCTIONS_START + BigInt(slot * 8);
export const functionSlot = (address: bigint): number => Number((address - FUNCTIONS_START) / 8n);

/** A helper that waits for a function of the program. */
export interface WaitingHelper {
  readonly run: Exclude<HelperRun, bigint>;
  /** The slot behind the call of the helper. */
  readonly resume: number;
}

/** Where to return to, and what a call preserves. */
export interface Frame {
  readonly returnTo: number | WaitingHelper;
  /** The caller's; a tail call changes the callee's. */
  readonly code: BpfCode;
  readonly saved: readonly [bigint, bigint, bigint, bigint, bigint];
}

/** The state that an instruction works on. */
export interface Machine {
  code: BpfCode;
  /** R0 to R10, unsigned 64 bits. */
  readonly regs: bigint[];
  readonly frames: Frame[];
  readonly memory: BpfMemory;
  readonly helpers: HelperRegistry;
  /** The program in a slot of an array of programs. */
  readonly tailCallee: (array: bigint, index: number) => BpfCode | undefined;
  tailCalls: number;
  /** Set when it stops. */
  stopped: { readonly reason: BpfFaultReason; readonly address?: bigint } | 'exit' | undefined;
}

/** Carries out the instruction at `slot` and answers the next one; any number when it has set `stopped`. */
export type Step = (machine: Machine, slot: number) => number;

export function stop(machine: Machine, reason: BpfFaultReason, address?: bigint): number {
  machine.stopped = address === undefined ? { reason } : { reason, address };
  return -1;
}
