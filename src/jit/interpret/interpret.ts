import { BPF_REG_FP, type BpfCode, MAX_BPF_STACK } from '../bpf/index.ts';
import type { HelperRegistry } from './helper.ts';
import { type BpfOutcome, MAX_CALL_FRAMES, type Machine, type Step } from './machine.ts';
import { type BpfMemory, regionMemory } from './memory.ts';
import { STEPS } from './steps.ts';

export interface InterpretRequest {
  /** As decoded, before any rewrite; 64-bit immediates resolved to numbers. */
  readonly code: BpfCode;
  /** R1 and R2. */
  readonly args: readonly [bigint, bigint];
  /** What the program sees beside its stack. */
  readonly memory: BpfMemory;
  readonly helpers: HelperRegistry;
  readonly maxInstructions: number;
  /** The program in a slot of an array of programs, by the array's address; without it there is none. */
  readonly tailCallee?: (array: bigint, index: number) => BpfCode | undefined;
}

/** Where the stack of an interpreted program ends: an address of the vmalloc area, away from what tests map. */
const STACK_TOP = 0xffff_c900_0001_0000n;

/** First the stack, then the rest. */
function withStack(memory: BpfMemory): BpfMemory {
  const bytes = new Uint8Array(MAX_CALL_FRAMES * MAX_BPF_STACK);
  const stack = regionMemory([{ base: STACK_TOP - BigInt(bytes.length), bytes }]);
  return {
    load: (address, size) => stack.load(address, size) ?? memory.load(address, size),
    store: (address, size, value) => stack.store(address, size, value) || memory.store(address, size, value),
  };
}

/**
 * Runs a program instruction by instruction as RFC 9669 says, on exact integers: what the compiler is compared with. It is not a way to run an
 * attached program. A fault or an exhausted budget is an outcome.
 */
export function interpretBpf(request: InterpretRequest): BpfOutcome {
  const { code, args, maxInstructions } = request;
  const machine: Machine = {
    code,
    regs: new Array<bigint>(12).fill(0n),
    frames: [],
    memory: withStack(request.memory),
    helpers: request.helpers,
    tailCallee: request.tailCallee ?? (() => undefined),
    tailCalls: 0,
    stopped: undefined,
  };
  [machine.regs[1], machine.regs[2]] = args;
  machine.regs[BPF_REG_FP] = STACK_TOP;

  let slot = 0;
  let instructions = 0;
  while (instructions < maxInstructions) {
    const at = slot;
    instructions += 1;
    slot = (STEPS[machine.code.insn[slot] as number] as Step)(machine, slot);
    if (machine.stopped === undefined) continue;
    if (machine.stopped === 'exit') return { kind: 'returned', value: machine.regs[0] as bigint, instructions };
    return { kind: 'fault', slot: at, ...machine.stopped, instructions };
  }
  return { kind: 'budget', slot, instructions };
}
