import type { HelperArgs, HelperRun } from '../helpers/index.ts';
import type { BpfMemory } from './memory.ts';

/** What a running helper sees: R1 to R5 and the program's memory. */
export interface HelperCall {
  readonly args: HelperArgs;
  readonly memory: BpfMemory;
}

/** A function that programs call by number. */
export interface BpfHelper {
  /** BPF_FUNC_* */
  readonly id: number;
  /** Name in the kernel, without `bpf_`. */
  readonly name: string;
  /** Returns R0, unsigned 64 bits, or the functions of the program that it calls on its way there. */
  readonly run: (call: HelperCall) => HelperRun;
}

/** The helpers that programs of one type may call. */
export interface HelperRegistry {
  byId(id: number): BpfHelper | undefined;
}

export function helperRegistry(helpers: readonly BpfHelper[]): HelperRegistry {
  const byId = new Map(helpers.map((helper) => [helper.id, helper]));
  return { byId: (id) => byId.get(id) };
}
