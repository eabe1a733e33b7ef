import type { AGAIN, Execution, Handler, Played } from './execution.ts';
import { imageReference, programEnter, programExit } from './handlers/bpf.ts';
import { assistFunction, directCallback, graphReturn, listFunction } from './handlers/ftrace.ts';
import { PLAYED_HELPERS } from './handlers/helpers.ts';
import { funcIpOfKprobe } from './handlers/kprobe-ftrace.ts';
import { optimizedCallback } from './handlers/optprobe.ts';
import { rethookReturn } from './handlers/rethook.ts';
import { traceBufferAlloc, traceRun, traceSubmit } from './handlers/tracepoint.ts';

/** By the number of arguments. */
const TRACE_RUNS: readonly string[] = Array.from({ length: 12 }, (_, i) => `bpf_trace_run${i + 1}`);

export type Play = (x: Execution) => Handler | Played | typeof AGAIN;

const of = (names: readonly string[], play: Play): readonly (readonly [string, Play])[] =>
  names.map((name) => [name, play]);

const kinds = ['', '_recur', '_sleepable', '_sleepable_recur', '_lsm_cgroup'] as const;

/**
 * Functions of the kernel whose part the machine plays, by name. Everything else that is machine code in Linux is executed: ftrace_caller,
 * ftrace_regs_caller and their private copies, BPF trampolines and programs, arch_rethook_trampoline, return_to_handler, slots, detours, handlers of ours.
 * docs/machine.md says for each why.
 */
export const INTERCEPTED: ReadonlyMap<string, Play> = new Map([
  ...of(['arch_ftrace_ops_list_func'], listFunction),
  ...of(['ftrace_ops_assist_func'], assistFunction),
  ...of(['kprobe_ftrace_handler', 'klp_ftrace_handler', 'call_direct_funcs', 'ftrace_graph_func'], directCallback),
  ...of(['fprobe_handler', 'function_trace_call'], directCallback),
  ...of(['optimized_callback'], optimizedCallback),
  ...of(['bpf_get_func_ip_kprobe'], funcIpOfKprobe),
  ...of(['ftrace_return_to_handler'], graphReturn),
  ...of(['arch_rethook_trampoline_callback'], rethookReturn),
  ...of(
    kinds.map((kind) => `__bpf_prog_enter${kind}`),
    programEnter,
  ),
  ...of(
    kinds.map((kind) => `__bpf_prog_exit${kind}`),
    programExit,
  ),
  ...of(TRACE_RUNS, traceRun),
  ...of(['perf_trace_buf_alloc'], traceBufferAlloc),
  ...of(['perf_trace_run_bpf_submit'], traceSubmit),
  ...of(['__bpf_tramp_enter', '__bpf_tramp_exit'], imageReference),
  ...PLAYED_HELPERS,
]);
