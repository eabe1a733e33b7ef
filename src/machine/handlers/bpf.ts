/**
 * The functions that a BPF trampoline calls around each program and around the original.
 * Source: kernel/bpf/trampoline.c __bpf_prog_enter_recur and its like, __bpf_tramp_enter, __bpf_tramp_exit (6.1, 6.12).
 */
import { invariant } from '../../base/index.ts';
import type { RuntimeProgram } from '../../registry/index.ts';
import type { Execution, Played } from '../execution.ts';

/** NO_START_TIME: run the program and account for nothing (bpf_stats_enabled_key is off). */
const NO_START_TIME = 1n;
const SKIP = 0n;
/** Below %rbp in a trampoline that calls the original: the return slot. */
const RETURN_SLOT = 8n;

const wordsOf = (program: RuntimeProgram): number =>
  program.argSizes.reduce((sum, size) => sum + Math.ceil(size / 8), 0);

/** The context of the program: the argument words, ascending. */
function context(x: Execution, program: RuntimeProgram): readonly bigint[] {
  const words = wordsOf(program);
  const first = x.guest.get('rbp') - BigInt(words * 8) - (program.callsOriginal ? RETURN_SLOT : 0n);
  return Array.from({ length: words }, (_, i) => x.guest.read64(first + BigInt(i * 8)));
}

/** __bpf_prog_enter*: 0 when this CPU runs the program already and the program may not be entered twice. */
export function programEnter(x: Execution): Played {
  const prog = x.guest.get('rdi');
  const program = x.index.program(prog);
  if (program === undefined) return NO_START_TIME;
  const active = (x.active.get(prog) ?? 0) + 1;
  x.active.set(prog, active);
  const since = x.executed;
  const runCtx = x.guest.get('rsi');
  if (program.isRecursionChecked && active !== 1) {
    x.miss(program.attachment, 'recursion');
    x.programs.push({ prog, record: undefined, since, runCtx });
    return SKIP;
  }
  const record = x.fire(program.attachment, program.func, context(x, program));
  x.programs.push({ prog, record, since, runCtx });
  return NO_START_TIME;
}

/** __bpf_prog_exit*: called also when the program was skipped. */
export function programExit(x: Execution): Played {
  const prog = x.guest.get('rdi');
  const program = x.index.program(prog);
  if (program === undefined) return undefined;
  x.active.set(prog, (x.active.get(prog) ?? 1) - 1);
  const open = x.programs.pop();
  invariant(open?.prog === prog, 'programs are left in the order in which they were entered');
  if (open.record === undefined) return undefined;
  const instructions = x.executed - open.since;
  if (program.kind === 'fentry') {
    x.completeFired(open.record, { instructions });
    return undefined;
  }
  const returnValue = x.guest.read64(x.guest.get('rbp') - RETURN_SLOT);
  x.completeFired(open.record, { instructions, returnValue });
  if (program.kind === 'fmod_ret' && returnValue !== 0n) missRest(x, program);
  return undefined;
}

/** A program answered something else than 0: older ones, the function and what is in its body are left out. */
function missRest(x: Execution, program: RuntimeProgram): void {
  const others = x.index.runtime.programs.filter((each) => each.func === program.func && each.kind === 'fmod_ret');
  const place = others.findIndex((each) => each.prog === program.prog);
  for (const older of others.slice(place + 1)) x.miss(older.attachment, 'skipped by fmod_ret');
  x.missBody(program.func, 'skipped by fmod_ret');
}

/** __bpf_tramp_enter and __bpf_tramp_exit: a reference on the image, which nobody frees while a call runs. */
export function imageReference(): Played {
  return undefined;
}
