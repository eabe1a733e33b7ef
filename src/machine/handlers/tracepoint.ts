/**
 * BPF programs behind tracepoints. `__bpf_trace_NAME` and `perf_trace_NAME` are executed; what they call is played.
 * Source: kernel/trace/bpf_trace.c bpf_trace_run1 and its like, trace_call_bpf; kernel/trace/trace_event_perf.c perf_trace_buf_alloc;
 * kernel/events/core.c perf_trace_run_bpf_submit (6.1, 6.12).
 */
import type { RuntimeTracepoint } from '../../registry/index.ts';
import type { Execution, Handler, Played } from '../execution.ts';
import { TRACE_BUFFER_SIZE, traceBuffer, traceRegs } from '../tracepoint-memory.ts';

type TraceProgram = RuntimeTracepoint['programs'][number];

const REGISTERS = ['rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
const CALL_SIZE = 5n;
/** bpf_prog_active, which no program of an event gets past while another one runs on this CPU (trace_call_bpf). */
const PROG_ACTIVE = 0n;

const programsOf = (x: Execution, data: bigint): readonly TraceProgram[] =>
  x.index.runtime.tracepoints.flatMap(({ programs }) => programs.filter((each) => each.data === data));

/** Arguments behind the link: five in registers, the others on the stack above the return address. */
function argumentsOf(x: Execution, count: number): readonly bigint[] {
  const { guest } = x;
  const stack = guest.get('rsp') + 8n;
  return Array.from({ length: count }, (_, i) => {
    const register = REGISTERS[i];
    return register === undefined ? guest.read64(stack + BigInt((i - REGISTERS.length) * 8)) : guest.get(register);
  });
}

/** One program, with a context at `context`. */
function* run(
  x: Execution,
  program: TraceProgram,
  args: readonly bigint[],
  context: bigint,
): Generator<{ callee: bigint; args: readonly bigint[] }, void, bigint> {
  const site = x.index.offset(x.guest.read64(x.guest.get('rsp')) - CALL_SIZE);
  const record = x.fire(program.attachment, site, args);
  const since = x.executed;
  x.programs.push({ prog: program.prog, record, since, runCtx: undefined, cookie: program.cookie });
  yield { callee: x.index.address(program.entry), args: [context] };
  x.programs.pop();
  x.completeFired(record, { instructions: x.executed - since });
}

/**
 * bpf_trace_runN:
 *   1. A program that this CPU runs already is missed.
 *   2. The arguments become an array of words on the stack.
 *   3. The program runs with the array for its context.
 */
export function* traceRun(x: Execution): Handler {
  const { guest } = x;
  const [program] = programsOf(x, guest.get('rdi'));
  if (program === undefined) return undefined;
  const active = x.active.get(program.prog) ?? 0;
  if (active > 0) {
    x.miss(program.attachment, 'recursion');
    return undefined;
  }
  const args = argumentsOf(x, program.args);
  const top = guest.get('rsp');
  const context = (top - BigInt(args.length * 8)) & ~0xfn;
  for (const [i, arg] of args.entries()) guest.write64(context + BigInt(i * 8), arg);
  x.active.set(program.prog, active + 1);
  const running = run(x, program, args, context);
  const first = running.next();
  guest.set('rsp', context);
  if (first.done !== true) running.next(yield first.value);
  guest.set('rsp', top);
  x.active.set(program.prog, active);
  return undefined;
}

/** perf_trace_buf_alloc(size, regs, rctxp): a record of this CPU; NULL for one that is too large. */
export function traceBufferAlloc(x: Execution): Played {
  const { guest } = x;
  const cpu = guest.cpu.number;
  if (guest.get('rdi') > BigInt(TRACE_BUFFER_SIZE)) return 0n;
  const [regs, context] = [guest.get('rsi'), guest.get('rdx')];
  if (regs !== 0n) guest.write64(regs, traceRegs(cpu));
  guest.space.poke(context, new Uint8Array(4));
  return traceBuffer(cpu);
}

/** perf_trace_run_bpf_submit(record, size, rctx, call, count, regs, …): every program of the event; perf itself has no one to tell. */
export function* traceSubmit(x: Execution): Handler {
  const { guest } = x;
  const [record, event, regs] = [guest.get('rdi'), guest.get('rcx'), guest.get('r9')];
  const programs = programsOf(x, event);
  if (x.active.has(PROG_ACTIVE)) {
    for (const { attachment } of programs) x.miss(attachment, 'recursion');
    return undefined;
  }
  x.active.set(PROG_ACTIVE, 1);
  guest.write64(record, regs);
  for (const program of programs) yield* run(x, program, [], record);
  x.active.delete(PROG_ACTIVE);
  return undefined;
}
