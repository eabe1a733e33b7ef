import { err, type Fault, ok, type Result } from '../../base/index.ts';
import { disassembleBpf } from '../bpf/index.ts';
import { checkControlFlow } from './cfg.ts';
import { checkPaths } from './check.ts';
import { checkHook } from './ctx-access.ts';
import { Env, LIMIT_INSNS, Rejected } from './env.ts';
import { checkGlobals, stateByTypes } from './global-functions.ts';
import { checkImmediates } from './immediates.ts';
import { withKernelAddresses } from './kernel-names.ts';
import { registersLive } from './liveness.ts';
import { checkMaxStackDepth, findTailCalls } from './max-stack.ts';
import { newReg } from './reg.ts';
import type { VerifyRequest } from './request.ts';
import { checkSleepable } from './sleeping.ts';
import { Frame, State } from './state.ts';

export interface VerifyStats {
  readonly processed: number;
  readonly maxStatesPerInsn: number;
  readonly totalStates: number;
  readonly peakStates: number;
  readonly markRead: number;
}

/** What is known of a program that was accepted. */
export interface Verification {
  /** By slot: 1 where some path goes. */
  readonly seen: Uint8Array;
  /** By slot: 1 for a load that may fault, and then reads 0. */
  readonly probes: Uint8Array;
  /** Bytes of stack of each function. */
  readonly stackDepths: readonly number[];
  /** End of what it reads of its context, in bytes. */
  readonly maxCtxOffset: number;
  readonly stats: VerifyStats;
  /** What the log has, of its level. */
  readonly log: string;
}

/** Why it was refused, with the log up to there. */
export interface Refusal extends Fault {
  readonly log: string;
  /** The limit of instructions was reached. */
  readonly isTooLarge?: boolean;
}

/** A program gets its context. */
function startState(): State {
  const frame = new Frame(0, 0, -1);
  frame.regs[1] = newReg('ctx');
  return new State([frame]);
}

function statsOf(env: Env): VerifyStats {
  return {
    processed: env.processed,
    maxStatesPerInsn: env.maxStatesPerInsn,
    totalStates: env.totalStates,
    peakStates: env.peakStates,
    markRead: env.longestReadWalk,
  };
}

/** print_verification_stats. */
const statsText = (stats: VerifyStats): string =>
  `processed ${stats.processed} insns (limit ${LIMIT_INSNS}) max_states_per_insn ${stats.maxStatesPerInsn} ` +
  `total_states ${stats.totalStates} peak_states ${stats.peakStates} mark_read ${stats.markRead}\n`;

const LINUX = 'bpf_check, kernel/bpf/verifier.c (6.12)';

/** Texts of the instructions, made once a log wants them. */
function describer(request: VerifyRequest): (slot: number) => string {
  let texts: ReadonlyMap<number, string> | undefined;
  return (slot) => {
    const helper = (id: number): string | undefined => request.helper(id)?.name.replace(/^bpf_/, '');
    const shown = withKernelAddresses(request.code, request.kernelName);
    texts ??= new Map(disassembleBpf(shown, { helper }).map((line) => [line.slot, line.text]));
    return texts.get(slot) ?? '';
  };
}

function run(request: VerifyRequest): Result<Verification, Refusal> {
  const env = new Env({ ...request, describe: request.describe ?? describer(request) }, startState());
  try {
    if (env.log.level > 0 && request.functions.length > 1)
      for (const [index, { start }] of request.functions.entries()) env.log.say(`func#${index} @${start}\n`);
    checkSleepable(env);
    checkHook(env);
    checkImmediates(env);
    findTailCalls(env);
    checkControlFlow(env);
    env.liveBefore = registersLive(env);
    env.touchEverything();
    if (request.type === 'freplace' && request.functionTypes !== undefined) env.state = stateByTypes(env, 0);
    checkPaths(env);
    checkGlobals(env, checkPaths);
    checkMaxStackDepth(env);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    if (env.log.level > 0 || env.processed > env.limit) env.log.say(statsText(statsOf(env)));
    return err({
      errno: error.errno,
      rule: 'bpf.verifier',
      detail: error.message,
      linux: LINUX,
      index: env.insn,
      log: env.log.text,
      isTooLarge: env.processed > env.limit,
    });
  }
  if (env.log.level > 0) env.log.say(statsText(statsOf(env)));
  return ok({
    seen: env.seen,
    probes: Uint8Array.from(env.loadedFrom, (kind) => (kind === 'probe' ? 1 : 0)),
    stackDepths: env.subprogs.map(({ stackDepth }) => stackDepth),
    maxCtxOffset: env.maxCtxOffset,
    stats: statsOf(env),
    log: env.log.text,
  });
}

/**
 * Follows every path of a program and answers that it is safe, or why not (do_check, kernel/bpf/verifier.c, 6.12): loads and stores stay in
 * memory that is theirs, helpers get what they take, references are given back, and it ends. As a loader does, it looks without a log first
 * and, when that fails and one is wanted, a second time with it.
 *
 * Faults: rule `bpf.verifier` with the kernel's errno, its last message in the detail, the log in `log`.
 */
export function verifyBpf(request: VerifyRequest): Result<Verification, Refusal> {
  if (request.logLevel === 2) return run(request);
  const quick = run({ ...request, logLevel: 0 });
  if (quick.ok || request.logLevel === 0) return quick;
  // Of a million instructions the log would have the last, and take as long again.
  if (quick.fault.isTooLarge) return quick;
  return run(request);
}
