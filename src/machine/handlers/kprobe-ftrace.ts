import type { RuntimeKprobe } from '../../registry/index.ts';
import type { Execution } from '../execution.ts';
import { PT_REGS } from '../layout.ts';
import type { FtraceCall } from './ftrace.ts';

/**
 * The pre_handlers of a probe, newest first (aggr_pre_handler), each of them our own and so answering 0. A kretprobe's takes a node of its
 * pool and hooks the return.
 *
 * @param frame address of the function's return address @param args argument registers; empty in a body
 */
export function preHandlers(x: Execution, probe: RuntimeKprobe, frame: bigint, args: readonly bigint[]): void {
  for (const child of probe.children) {
    if (child.isDisabled) continue;
    if (child.kind === 'kprobe') {
      x.fire(child.attachment, probe.addr, args);
      continue;
    }
    const onReturn = (value: bigint): void => {
      x.completeFired(x.fire(child.attachment, probe.addr, args), { returnValue: value });
    };
    if (!x.hookReturn(child.attachment, child.maxActive, frame, onReturn))
      x.miss(child.attachment, 'instances exhausted');
  }
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
export function kprobeOnFtrace(x: Execution, call: FtraceCall): void {
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
  preHandlers(x, probe, x.guest.read64(call.regs + BigInt(PT_REGS.rsp)), x.argumentsAt(call.regs));
  x.guest.write64(rip, saved);
}
