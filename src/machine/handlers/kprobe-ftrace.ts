import { ENDBR_INSN_SIZE, isEndbr } from '../../insn/index.ts';
import type { RuntimeKprobe } from '../../registry/index.ts';
import type { Execution, GuestCall, OnReturn, Played } from '../execution.ts';
import { PT_REGS } from '../layout.ts';
import type { FtraceCall } from './ftrace.ts';

/** Handlers, with the functions that they have to call. */
export type Calls = Generator<GuestCall, void, bigint>;

/** Where a probe was met. */
export interface ProbeHit {
  /** Address of a struct pt_regs; programs get it for their context. */
  readonly regs: bigint;
  /** Address of the function's return address. */
  readonly frame: bigint;
  /** Argument registers; empty in a body. */
  readonly args: readonly bigint[];
}

type Child = RuntimeKprobe['children'][number];

/** trace_call_bpf: the program of a perf event, with pt_regs for its context. What it answers decides about perf's own record alone. */
function* program(x: Execution, { program: code }: Child, record: number, regs: bigint): Calls {
  if (code === undefined) return;
  const since = x.executed;
  x.programs.push({ prog: code.prog, record, since, runCtx: undefined });
  yield { callee: x.index.address(code.entry), args: [regs] };
  x.programs.pop();
  x.completeFired(record, { instructions: x.executed - since });
}

/** Handlers of a probe run while it is the current one, so that a probe that they come by is missed. */
function* asCurrent(x: Execution, probe: RuntimeKprobe, handlers: Calls): Calls {
  const previous = x.kprobe;
  x.kprobe = { addr: probe.addr, slot: undefined, savedIf: 0n, previous };
  yield* handlers;
  x.kprobe = previous;
}

/**
 * The pre_handlers of a probe, newest first (aggr_pre_handler), each of them our own, or perf's, and so answering 0. A kretprobe's takes a node
 * of its pool and hooks the return.
 */
export const preHandlers = (x: Execution, probe: RuntimeKprobe, hit: ProbeHit): Calls =>
  asCurrent(x, probe, eachPreHandler(x, probe, hit));

function* eachPreHandler(x: Execution, probe: RuntimeKprobe, { regs, frame, args }: ProbeHit): Calls {
  for (const child of probe.children) {
    if (child.isDisabled) continue;
    if (child.kind === 'kprobe') {
      yield* program(x, child, x.fire(child.attachment, probe.addr, args), regs);
      continue;
    }
    const onReturn: OnReturn = (value, atReturn) => {
      const record = x.fire(child.attachment, probe.addr, args);
      x.completeFired(record, { returnValue: value });
      return asCurrent(x, probe, program(x, child, record, atReturn));
    };
    if (!x.hookReturn(child.attachment, child.maxActive, frame, onReturn))
      x.miss(child.attachment, 'instances exhausted');
  }
}

/** bpf_get_func_ip_kprobe: the function that the current probe is at the entry of; 0 anywhere else. */
export function funcIpOfKprobe(x: Execution): Played {
  const probe = x.kprobe === undefined ? undefined : x.index.kprobeAt(x.kprobe.addr);
  if (probe === undefined) return 0n;
  const start = x.guest.space.peek(x.index.address(probe.func), ENDBR_INSN_SIZE);
  const isBehindEndbr = probe.addr === probe.func + ENDBR_INSN_SIZE && start !== undefined && isEndbr(start);
  return probe.addr === probe.func || isBehindEndbr ? x.index.address(probe.func) : 0n;
}

/** kprobes_inc_nmissed_count. */
export function missAll(x: Execution, probe: RuntimeKprobe, reason: 'recursion' | 'ftrace is dead'): void {
  for (const child of probe.children) if (!child.isDisabled) x.miss(child.attachment, reason);
}

/**
 * kprobe_ftrace_handler: the probe sees %rip one past the site, as if an int3 had been there; afterwards %rip is what it was, so that what a
 * livepatch wrote there stays. Source: arch/x86/kernel/kprobes/ftrace.c (6.1, 6.12; kprobe_ftrace_disabled came with
 * kprobe_ftrace_kill).
 */
export function* kprobeOnFtrace(x: Execution, call: FtraceCall): Calls {
  const probe = x.index.kprobeAt(call.site);
  if (probe === undefined || probe.isDisabled) return;
  if (x.index.runtime.isFtraceDead && x.index.symbol('kprobe_ftrace_kill') !== undefined) {
    missAll(x, probe, 'ftrace is dead');
    return;
  }
  if (x.kprobe !== undefined) {
    missAll(x, probe, 'recursion');
    return;
  }
  const rip = call.regs + BigInt(PT_REGS.rip);
  const saved = x.guest.read64(rip);
  x.guest.write64(rip, call.ip + 1n);
  const frame = x.guest.read64(call.regs + BigInt(PT_REGS.rsp));
  yield* preHandlers(x, probe, { regs: call.regs, frame, args: x.argumentsAt(call.regs) });
  x.guest.write64(rip, saved);
}
