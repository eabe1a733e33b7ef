/**
 * What programs trace, until somebody reads it: tracefs's `trace_pipe` (kernel/trace/trace.c, 6.12), one for each tenant, whose attachments or runs
 * wrote the lines. As the kernel's ring buffer it is bounded, its oldest lines make room, and it is not kept over a restart.
 */
import { type Clock, ok, type Result } from '../base/index.ts';
import type { TracedLine } from '../machine/index.ts';
import type { KernelState } from '../registry/index.ts';
import type { Caller } from './service.ts';
import type { RecordsRequest } from './service-maps.ts';
import type { TraceLine, TracePipeCalls, TracePipeLines } from './service-trace-pipe.ts';
import { waitFor } from './wait-for.ts';

const LINES_KEPT = 4_096;
const LINES = { default: 100, max: 1_000 };

/** A line as its writer knows it. */
export interface TracedText {
  readonly text: string;
  readonly attachment: string | undefined;
  readonly program: string | undefined;
  readonly cpu: number;
  readonly timeNs: bigint;
}

interface Pipe {
  lines: TraceLine[];
  lost: number;
}

/**
 * The kernel's own form (trace_print_context, trace_find_cmdline: pid 0 is `<idle>`). Whether interrupts were off and preemption counted is not
 * known here: dots.
 */
function lineOf({ text, attachment, program, cpu, timeNs }: TracedText): TraceLine {
  const us = timeNs / 1000n;
  const seconds = `${us / 1_000_000n}.${String(us % 1_000_000n).padStart(6, '0')}`;
  const task = `${'<idle>'.padStart(16)}-${'0'.padEnd(7)}`;
  return {
    line: `${task} [${String(cpu).padStart(3, '0')}] ..... ${seconds.padStart(12)}: bpf_trace_printk: ${text}`,
    text,
    cpu,
    timeNs: String(timeNs),
    attachment: attachment ?? null,
    program: program ?? null,
  };
}

export class TracePipe {
  readonly #pipes = new Map<string, Pipe>();
  readonly #waiting = new Set<() => void>();

  append(tenant: string, traced: readonly TracedText[]): void {
    if (traced.length === 0) return;
    const pipe = this.#pipes.get(tenant) ?? { lines: [], lost: 0 };
    this.#pipes.set(tenant, pipe);
    pipe.lines.push(...traced.map(lineOf));
    const beyond = Math.max(0, pipe.lines.length - LINES_KEPT);
    pipe.lines.splice(0, beyond);
    pipe.lost += beyond;
    for (const wake of [...this.#waiting]) wake();
  }

  /** The oldest lines, which stay, or are taken away. */
  read(tenant: string, max: number, isTaken: boolean): TracePipeLines {
    const { lines, lost } = this.#pipes.get(tenant) ?? { lines: [], lost: 0 };
    const shown = lines.slice(0, max);
    const available = lines.length - shown.length;
    if (isTaken && available === 0) this.#pipes.delete(tenant);
    else if (isTaken) this.#pipes.set(tenant, { lines: lines.slice(shown.length), lost: 0 });
    return { lines: shown, lost, available };
  }

  onWritten(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => this.#waiting.delete(listener);
  }

  /** Nobody waits any more. */
  close(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

/** Nothing is taken for a caller who has gone: nobody would ever see it. */
async function read(
  { traces, clock }: { readonly traces: TracePipe; readonly clock: Clock },
  caller: Caller,
  { max = LINES.default, waitMs = 0 }: RecordsRequest,
  isTaken: boolean,
): Promise<Result<TracePipeLines>> {
  const found = await waitFor(clock, caller, waitMs, {
    onChange: (listener) => traces.onWritten(listener),
    look: () => traces.read(caller.tenant, Math.min(max, LINES.max), isTaken && caller.signal?.aborted !== true),
    isThere: ({ lines }) => lines.length > 0,
  });
  return ok(found);
}

export const tracePipeCalls = (kernel: { readonly traces: TracePipe; readonly clock: Clock }): TracePipeCalls => ({
  tracePipe: (caller, request) => read(kernel, caller, request, false),
  consumeTracePipe: (caller, request) => read(kernel, caller, request, true),
});

/** To those whose programs wrote the lines. */
export function keepTraced(
  { traces, state }: { readonly traces: TracePipe; readonly state: KernelState },
  caller: Caller,
  traced: readonly TracedLine[],
): void {
  for (const line of traced) {
    const owner = line.attachment === undefined ? undefined : state.attachments.get(line.attachment);
    traces.append(owner?.tenant ?? caller.tenant, [{ ...line, program: undefined }]);
  }
}
