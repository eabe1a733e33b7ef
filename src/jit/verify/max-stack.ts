import { BPF_FUNC_TAIL_CALL, calledFunction } from '../bpf/index.ts';
import { subprogAt } from './calls.ts';
import type { Env } from './env.ts';
import { MAX_FRAMES, MAX_STACK } from './state.ts';

/** The JIT keeps the stack aligned to 16 bytes (round_up_stack_depth, kernel/bpf/verifier.c, 6.12). */
const roundUp = (depth: number): number => Math.ceil(depth / 16) * 16;
/** More than this in front of a function that makes a tail call is too much. */
const TAIL_CALL_STACK_MAX = 256;

interface Call {
  readonly subprog: number;
  /** Where to go on in it. */
  slot: number;
}

/**
 * check_max_stack_depth: no chain of calls, callbacks included, takes more than 512 bytes of stack or goes deeper than 8. x86 in 6.12 has no
 * private stacks, so that all functions share those of the kernel.
 */
export function checkMaxStackDepth(env: Env): void {
  const { functions } = env.request;
  const chain: Call[] = [];
  let depth = 0;
  const enter = (subprog: number): void => {
    const info = env.subprogs[subprog];
    if (subprog !== 0 && info?.hasTailCall === true && depth >= TAIL_CALL_STACK_MAX) {
      const text = `tail_calls are not allowed when call stack of previous frames is ${depth} bytes. Too large`;
      env.reject('EACCES', text);
    }
    depth += roundUp(info?.stackDepth ?? 0);
    if (depth > MAX_STACK)
      env.reject('EACCES', `combined stack size of ${chain.length + 1} calls is ${depth}. Too large`);
    chain.push({ subprog, slot: functions[subprog]?.start ?? 0 });
  };
  enter(0);
  for (let call = chain.at(-1); call !== undefined; call = chain.at(-1)) {
    const end = functions[call.subprog]?.end ?? 0;
    const callee = call.slot < end ? calledFunction(env.code, call.slot) : undefined;
    call.slot += 1;
    if (callee !== undefined) {
      if (chain.length >= MAX_FRAMES) env.reject('E2BIG', `the call stack of ${chain.length} frames is too deep !`);
      enter(subprogAt(env, callee));
    } else if (call.slot > end) {
      depth -= roundUp(env.subprogs[call.subprog]?.stackDepth ?? 0);
      chain.pop();
    }
  }
}

/** Which functions make tail calls. */
export function findTailCalls(env: Env): void {
  for (const [index, { start, end }] of env.request.functions.entries()) {
    const info = env.subprogs[index];
    for (let slot = start; slot < end && info !== undefined; slot++) {
      const { meaning } = env.insnAt(slot) ?? {};
      if (meaning?.kind === 'call' && meaning.callee === 'helper' && env.code.imm[slot] === BPF_FUNC_TAIL_CALL)
        info.hasTailCall = true;
    }
  }
}
