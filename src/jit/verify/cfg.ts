import { calledFunction, jumpTarget, SECOND_SLOT } from '../bpf/index.ts';
import type { Env } from './env.ts';
import { callsBack } from './helper-call.ts';

/** Where control goes on from an instruction, and which places states are compared at (visit_insn, kernel/bpf/verifier.c, 6.12). */
function successors(env: Env, slot: number): readonly number[] {
  const { code, prunePoints, jumpPoints } = env;
  const { meaning } = env.insnAt(slot);
  const next = slot + (code.insn[slot + 1] === SECOND_SLOT ? 2 : 1);
  const callee = calledFunction(code, slot);
  const target = jumpTarget(code, slot);
  const mark = (place: number): void => {
    prunePoints[place] = 1;
    jumpPoints[place] = 1;
  };
  switch (meaning.kind) {
    case 'exit':
      return [];
    case 'ja':
      mark(target ?? next);
      return [target ?? next];
    case 'jump':
      prunePoints[slot] = 1;
      mark(target ?? next);
      return [next, target ?? next];
    case 'call':
      if (meaning.callee === 'helper' && callsBack(code.imm[slot] as number)) {
        env.callsCallback[slot] = 1;
        mark(slot);
      }
      mark(next);
      break;
    case 'ld-imm64':
      if (callee !== undefined) mark(next);
      break;
    default:
      return [next];
  }
  if (callee === undefined) return [next];
  prunePoints[slot] = 1;
  mark(callee);
  return [next, callee];
}

/** check_cfg: control reaches every instruction, and no half of one. */
export function checkControlFlow(env: Env): void {
  const { code } = env;
  const reached = new Uint8Array(code.length);
  const waiting = [0];
  reached[0] = 1;
  for (let slot = waiting.pop(); slot !== undefined; slot = waiting.pop()) {
    for (const next of successors(env, slot)) {
      if (next >= code.length) env.reject('EINVAL', `jump out of range from insn ${slot} to ${next}`);
      if (reached[next] === 1) continue;
      reached[next] = 1;
      waiting.push(next);
    }
  }
  for (let slot = 0; slot < code.length; slot++) {
    if (code.insn[slot] === SECOND_SLOT) continue;
    if (reached[slot] === 0) env.reject('EINVAL', `unreachable insn ${slot}`);
  }
}
