/** Calls: of helpers, which may call functions of the program themselves, of functions, and of other programs. */
import { BPF_FUNC_TAIL_CALL, BPF_REG_FP, MAX_BPF_STACK } from '../bpf/index.ts';
import { type BpfCallback, HelperFault } from '../helpers/index.ts';
import { functionSlot, MAX_CALL_FRAMES, type Machine, stop, type WaitingHelper } from './machine.ts';

/** MAX_TAIL_CALL_CNT (6.12). */
const MAX_TAIL_CALLS = 33;
const PRESERVED = [6, 7, 8, 9, BPF_REG_FP] as const;

const read = (machine: Machine, register: number): bigint => machine.regs[register] as bigint;

/** A helper that reaches for memory that is not there ends the program. */
function guarded(machine: Machine, body: () => number): number {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof HelperFault)) throw error;
    return stop(machine, error.access === 'read' ? 'load' : 'store', error.address);
  }
}

/** R6 to R10 belong to the caller; the callee's stack lies below. False when there are too many frames. */
function enter(machine: Machine, returnTo: number | WaitingHelper): boolean {
  if (machine.frames.length + 1 >= MAX_CALL_FRAMES) {
    stop(machine, 'call-depth');
    return false;
  }
  const saved = PRESERVED.map((register) => read(machine, register));
  machine.frames.push({ returnTo, code: machine.code, saved: saved as never });
  machine.regs[BPF_REG_FP] = read(machine, BPF_REG_FP) - BigInt(MAX_BPF_STACK);
  return true;
}

/** A helper has come to its end, or to a function that it calls. */
function follow(machine: Machine, helper: WaitingHelper, step: IteratorResult<BpfCallback, bigint>): number {
  if (step.done === true) {
    machine.regs[0] = BigInt.asUintN(64, step.value);
    return helper.resume;
  }
  if (!enter(machine, helper)) return -1;
  for (const [i, value] of step.value.args.entries()) machine.regs[1 + i] = BigInt.asUintN(64, value);
  const slot = functionSlot(step.value.callee);
  const isSlot = slot >= 0 && slot < machine.code.length;
  return isSlot ? slot : stop(machine, 'exception', step.value.callee);
}

export function callHelper(machine: Machine, slot: number, id: number): number {
  const helper = machine.helpers.byId(id);
  if (id === BPF_FUNC_TAIL_CALL && helper === undefined) return tailCall(machine, slot);
  if (helper === undefined) return stop(machine, 'helper');
  const args = [1, 2, 3, 4, 5].map((register) => read(machine, register));
  return guarded(machine, () => {
    const run = helper.run({ args: args as never, memory: machine.memory });
    if (typeof run !== 'bigint') return follow(machine, { run, resume: slot + 1 }, run.next());
    machine.regs[0] = BigInt.asUintN(64, run);
    return slot + 1;
  });
}

/** R2 the array, R3 the index: another program goes on in this frame, or this one behind the call. */
function tailCall(machine: Machine, slot: number): number {
  const index = Number(read(machine, 3) & 0xffff_ffffn);
  const code = machine.tailCalls < MAX_TAIL_CALLS ? machine.tailCallee(read(machine, 2), index) : undefined;
  if (code === undefined) return slot + 1;
  machine.tailCalls += 1;
  machine.code = code;
  return 0;
}

export const callFunction = (machine: Machine, slot: number): number =>
  enter(machine, slot + 1) ? slot + 1 + (machine.code.imm[slot] as number) : -1;

export function exit(machine: Machine): number {
  const frame = machine.frames.pop();
  if (frame === undefined) {
    machine.stopped = 'exit';
    return -1;
  }
  for (const [i, value] of frame.saved.entries()) machine.regs[PRESERVED[i] as number] = value;
  machine.code = frame.code;
  const { returnTo } = frame;
  if (typeof returnTo === 'number') return returnTo;
  return guarded(machine, () => follow(machine, returnTo, returnTo.run.next(read(machine, 0))));
}
