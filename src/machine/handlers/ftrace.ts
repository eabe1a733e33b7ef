/**
 * What ftrace_caller and ftrace_regs_caller call. The callers and their private copies are machine code; these are C in Linux.
 * Source: kernel/trace/ftrace.c __ftrace_ops_list_func, ftrace_ops_assist_func, call_direct_funcs; kernel/trace/fgraph.c and
 * arch/x86/kernel/ftrace.c ftrace_graph_func, prepare_ftrace_return; kernel/livepatch/patch.c klp_ftrace_handler;
 * kernel/trace/fprobe.c __fprobe_handler (6.12; 6.1 alike where it has them).
 */
import type { RuntimeOps } from '../../registry/index.ts';
import type { Execution, Handler, OnReturn, Played } from '../execution.ts';
import { PT_REGS } from '../layout.ts';
import { hasSorted, opsHasSite } from '../runtime-index.ts';
import { kprobeOnFtrace } from './kprobe-ftrace.ts';

/** ftrace_func_t: what every callback is called with. */
export interface FtraceCall {
  /** Offset of the site. */
  readonly site: number;
  readonly ip: bigint;
  readonly parentIp: bigint;
  readonly ops: RuntimeOps;
  /** Address of the struct pt_regs that the caller saved. */
  readonly regs: bigint;
}

/** Reads the four arguments of a callback; undefined when nobody knows the ops. */
export function ftraceCall(x: Execution): FtraceCall | undefined {
  const ip = x.guest.get('rdi');
  const ops = x.index.ops(x.guest.get('rdx'));
  if (ops === undefined) return undefined;
  return { site: x.index.offset(ip), ip, parentIp: x.guest.get('rsi'), ops, regs: x.guest.get('rcx') };
}

const field = (regs: bigint, name: keyof typeof PT_REGS): bigint => regs + BigInt(PT_REGS[name]);

/** klp_ftrace_handler: the function goes on in the replacement on top of the stack. */
export function livepatch(x: Execution, call: FtraceCall): void {
  const { user } = call.ops;
  const top = user.kind === 'livepatch' ? user.target : undefined;
  if (user.kind !== 'livepatch' || top === undefined) return;
  x.guest.write64(field(call.regs, 'rip'), x.index.address(top.at));
  x.fire(top.attachment, call.site, x.argumentsAt(call.regs));
  x.missBody(user.func, 'bypassed by livepatch');
}

/** call_direct_funcs: the tail of ftrace_regs_caller "returns" into what stands in orig_ax. */
export function callDirect(x: Execution, call: FtraceCall): void {
  const { user } = call.ops;
  if (user.kind !== 'direct') return;
  const direct = user.calls.find(([site]) => site === call.site);
  if (direct !== undefined) x.guest.write64(field(call.regs, 'origRax'), x.index.address(direct[1]));
}

/** ftrace_graph_func and function_graph_enter: one replaced return address for all tracers of the function. */
export function graph(x: Execution, call: FtraceCall): void {
  const { user } = call.ops;
  const handler = x.index.symbol('return_to_handler');
  if (user.kind !== 'graph' || handler === undefined) return;
  const args = x.argumentsAt(call.regs);
  const tracers = user.tracers.filter(({ sites }) => hasSorted(sites, call.site));
  const records = tracers.map(({ attachment }) => x.fire(attachment, call.site, args));
  if (records.length === 0) return;
  const frame = x.guest.read64(field(call.regs, 'rsp'));
  const onReturn: OnReturn = (value) => {
    for (const record of records) x.completeFired(record, { returnValue: value });
    return undefined;
  };
  x.graphStack = [{ returnTo: x.guest.read64(frame), frame, onReturn }, ...x.graphStack];
  x.guest.write64(frame, handler);
}

/** fprobe_handler: an entry handler, and a return hook where there is an exit handler. */
export function fprobe(x: Execution, call: FtraceCall): void {
  const { user } = call.ops;
  if (user.kind !== 'callback') return;
  const { attachment, callback } = user;
  const args = x.argumentsAt(call.regs);
  const record = callback === 'fprobe-exit' ? undefined : x.fire(attachment, call.site, args);
  if (callback === 'fprobe-entry') return;
  // fprobe_init_rethook: as many nodes as functions times CPUs times 2.
  const limit = Math.max(call.ops.sites.length, 1) * x.index.image.cpus * 2;
  const onReturn: OnReturn = (value) => {
    x.completeFired(record ?? x.fire(attachment, call.site, args), { returnValue: value });
    return undefined;
  };
  const isHooked = x.hookReturn(attachment, limit, x.guest.read64(field(call.regs, 'rsp')), onReturn);
  if (!isHooked) x.miss(attachment, 'instances exhausted');
}

/** function_trace_call: writes into the ring buffer; here, into the log of what fired. */
export function functionTracer(x: Execution, call: FtraceCall): void {
  if (call.ops.user.kind === 'callback') x.fire(call.ops.user.attachment, call.site, x.argumentsAt(call.regs));
}

/** The callback of an ops, by who uses it. A handler of our own is machine code and is called. */
export function* callback(
  x: Execution,
  call: FtraceCall,
): Generator<{ callee: bigint; args: readonly bigint[] }, void, bigint> {
  const { user, func, pointer } = call.ops;
  switch (user.kind) {
    case 'kprobes':
      yield* kprobeOnFtrace(x, call);
      return;
    case 'livepatch':
      livepatch(x, call);
      return;
    case 'direct':
      callDirect(x, call);
      return;
    case 'graph':
      graph(x, call);
      return;
    case 'none':
      return;
    case 'callback':
      if (user.callback === 'function-tracer') functionTracer(x, call);
      else if (user.callback !== 'handler') fprobe(x, call);
      else if (func !== undefined)
        yield { callee: x.index.address(func), args: [call.ip, call.parentIp, pointer, call.regs] };
  }
}

/**
 * arch_ftrace_ops_list_func:
 *   1. Guard against recursion.
 *   2. Each registered ops, newest first, that is no stub and filters on the site.
 *   3. An ops without a callback: FTRACE_WARN_ON, ftrace_kill, and no further ops is called.
 */
export function* listFunction(x: Execution): Handler {
  const ip = x.guest.get('rdi');
  const site = x.index.offset(ip);
  const parentIp = x.guest.get('rsi');
  const regs = x.guest.get('rcx');
  if (x.isInListFunction) {
    for (const ops of x.index.runtime.ops)
      if (opsHasSite(ops, site) && ops.user.kind === 'callback') x.miss(ops.user.attachment, 'recursion');
    return undefined;
  }
  x.isInListFunction = true;
  for (const ops of x.index.runtime.ops) {
    if (ops.isStub || !opsHasSite(ops, site)) continue;
    if (ops.func === undefined) {
      if (!x.index.runtime.isFtraceDead) {
        x.ftraceDiedAt ??= site;
        x.log.push('WARNING: __ftrace_ops_list_func: an ftrace_ops has no callback; ftrace is shut down');
      }
      break;
    }
    yield* callback(x, { site, ip, parentIp, ops, regs });
  }
  x.isInListFunction = false;
  return undefined;
}

/** ftrace_ops_assist_func: the same guard for an ops that stands alone. */
export function* assistFunction(x: Execution): Handler {
  const call = ftraceCall(x);
  if (call === undefined || call.ops.isStub) return undefined;
  if (x.isInListFunction) {
    if (call.ops.user.kind === 'callback') x.miss(call.ops.user.attachment, 'recursion');
    return undefined;
  }
  x.isInListFunction = true;
  yield* callback(x, call);
  x.isInListFunction = false;
  return undefined;
}

/** A callback that a private trampoline calls directly. */
export function* directCallback(x: Execution): Handler {
  const call = ftraceCall(x);
  if (call !== undefined) yield* callback(x, call);
  return undefined;
}

/** ftrace_return_to_handler: where return_to_handler returns to. The result is still in %rax. */
export function graphReturn(x: Execution): Played {
  const [hook, ...rest] = x.graphStack;
  if (hook === undefined) return 0n;
  x.graphStack = rest;
  // Tracers of the graph have no program to call.
  hook.onReturn(x.guest.get('rax'), 0n);
  return hook.returnTo;
}
